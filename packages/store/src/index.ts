/** `@shoal/store`: pieces and jobs on disk. The format is specified in docs/storage.md. */
export type { CacheEntry } from "./cache-rows.ts";
export type { CacheRequest, CacheSettings } from "./content-cache.ts";
export { describeFile } from "./describe-file.ts";
export type { Chunking, DescribedFile, DescribeOptions } from "./describe-file.ts";
export type { StartReport } from "./open-disk-store.ts";
export { openStore } from "./open-store.ts";
export type { Store, StoreDeps, StoreOptions } from "./open-store.ts";
export { writeSidecar } from "./sidecar.ts";
