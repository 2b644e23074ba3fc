/** `@shoal/store`: pieces and jobs on disk. The format is specified in docs/storage.md. */
export { describeFile } from "./describe-file.ts";
export type { DescribedFile, DescribeOptions } from "./describe-file.ts";
export type { StartReport } from "./open-disk-store.ts";
export { openStore } from "./open-store.ts";
export type { Store, StoreDeps, StoreOptions } from "./open-store.ts";
export { writeSidecar } from "./sidecar.ts";
