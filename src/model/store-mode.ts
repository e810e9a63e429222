/** The modes of the live store; `store/environment.ts` says what each means for the disk. */
export type StoreMode = 'autosave' | 'durable' | 'deferred' | 'transient';

/**
 * The store that serves while the file of the durable mode cannot be used: a copy of the file in memory, or an empty
 * store if the file cannot be read and any session may be in it.
 */
export type StandIn = 'copy' | 'blind';
