/** How the live store is kept; `store/environment.ts` says what each means for the disk. */
export type StoreMode = 'autosave' | 'durable' | 'deferred' | 'transient';
