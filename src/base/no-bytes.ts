/** No bytes: shared, for there is nothing in them to change. */
export const NO_BYTES: Buffer<ArrayBuffer> = Buffer.alloc(0);
