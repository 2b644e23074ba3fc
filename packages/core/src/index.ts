/** `@shoal/core`: the decisions. Pure and synchronous; see docs/architecture.md. */
export { assert, AssertionError, unreachable } from "./assert.ts";
export { CborError, CborReader, encodeCbor } from "./content/canonical-cbor.ts";
export type { CborValue } from "./content/canonical-cbor.ts";
export {
  chunkIdFromDigest,
  contentIdFromDigest,
  contentIdOf,
  digestOfContentId,
  parseContentId,
} from "./content/content-id.ts";
export { isFileName, PART_FILE_PREFIX } from "./content/file-name.ts";
export { choosePieceLength, PieceLayout } from "./content/layout.ts";
export type { PieceBoundaries } from "./content/layout.ts";
export {
  decodeManifest,
  encodeManifest,
  MANIFEST_VERSION,
  pieceDigest,
  SIDECAR_SUFFIX,
} from "./content/manifest.ts";
export type { Manifest, ManifestFile, ManifestHints, ManifestResult } from "./content/manifest.ts";
export { PieceBufferPool } from "./content/piece-buffer-pool.ts";
export type { PieceBufferPoolOptions } from "./content/piece-buffer-pool.ts";
export { PieceSet } from "./content/piece-set.ts";
export {
  DIGEST_LENGTH,
  hex,
  matchesDigest,
  parseSha256Hex,
  sha256,
  sha256Hex,
  startDigest,
} from "./hash/digest.ts";
export type { RunningDigest } from "./hash/digest.ts";
export { checkDestination } from "./job/destination.ts";
export { JOB_PRIORITIES, parseJobRecord } from "./job/record.ts";
export type { JobFileSpec, JobPriority, JobRecord } from "./job/record.ts";
export { checkJobRequest } from "./job/request.ts";
export type { JobRequest } from "./job/request.ts";
export {
  isActiveState,
  isFinalState,
  JOB_FACT_TABLE,
  JOB_FACTS,
  JOB_STATES,
  JOB_VERB_TABLE,
  JOB_VERBS,
} from "./job/states.ts";
export type { JobFact, JobState, JobVerb } from "./job/states.ts";
export { Picker } from "./picker/picker.ts";
export type { EngineCommand, SchedulerCommand, SchedulerEvent } from "./ports/events.ts";
export { validatorKey } from "./ports/origin-port.ts";
export type {
  OriginCommand,
  OriginEvent,
  OriginFailure,
  OriginFailureKind,
  Validator,
} from "./ports/origin-port.ts";
export type { EventSink, PayloadOps, PieceBytes, Port } from "./ports/port.ts";
export type {
  OpenContent,
  PieceSource,
  ResumableContent,
  StoreCommand,
  StoredContent,
  StoreEvent,
} from "./ports/store-port.ts";
export type { Offence, RefusalReason, SwarmCommand, SwarmEvent } from "./ports/swarm-port.ts";
export { hashText32, mix32, Random } from "./random.ts";
export { COUNTERS, Counters } from "./registry/counters.ts";
export type { CounterName } from "./registry/counters.ts";
export { errorInfo, ERRORS, ShoalError } from "./registry/errors.ts";
export type { ErrorCode, ErrorInfo, ErrorRow } from "./registry/errors.ts";
export { LIMITS } from "./registry/limits.ts";
export { resolveSettings, SETTINGS } from "./registry/settings.ts";
export type { SettingName, SettingRow, Settings } from "./registry/settings.ts";
export { ORIGIN_REASONS } from "./schedule/notice.ts";
export type { Notice, OriginReason } from "./schedule/notice.ts";
export { Scheduler } from "./schedule/scheduler.ts";
export type { SchedulerDeps } from "./schedule/scheduler.ts";
export { FILE_PHASES } from "./schedule/snapshot.ts";
export type { FilePhase, FileSnapshot, JobSnapshot, VerbResult } from "./schedule/snapshot.ts";
export { KiB, MiB, NO_BUFFER } from "./units.ts";
export type {
  BufferId,
  ByteOffset,
  ContentId,
  Flavoured,
  JobId,
  Millis,
  PeerId,
  PieceIndex,
  RequestId,
  TransferId,
} from "./units.ts";
