/** How the live store is kept; `store/environment.ts` says what each means for the disk. */
export type StoreMode = 'autosave' | 'durable' | 'deferred' | 'transient';

/**
 * What serves while the file of the durable mode cannot be used: a copy of it in memory, or an empty store where the
 * file does not read and any session may be in it.
 */
export type StandIn = 'copy' | 'blind';
