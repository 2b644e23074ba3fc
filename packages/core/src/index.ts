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
export {
  NOMINAL_LENGTH_MAX,
  chooseNominalLength,
  chunkLengths,
  ContentChunker,
} from "./content/content-chunker.ts";
export type { ChunkLengths } from "./content/content-chunker.ts";
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
export { formatPublicKey, keyIdOf, parsePublisher } from "./content/publisher.ts";
export type { Publisher, PublisherKey } from "./content/publisher.ts";
export {
  encodeAnnouncement,
  openAnnouncement,
  urlTag,
  validatorTag,
} from "./content/announcement.ts";
export type { Announcement, OpenedAnnouncement } from "./content/announcement.ts";
export { encodeEnvelope, messageToSign } from "./content/envelope.ts";
export type { Envelope, ManifestSignature, SignedKind } from "./content/envelope.ts";
export {
  encodeStatement,
  isProductName,
  openSignedManifest,
  SIGNED_SIDECAR_SUFFIX,
} from "./content/signed-manifest.ts";
export type { OpenedManifest, OpenResult, Statement } from "./content/signed-manifest.ts";
export { parsePieceHashFile, parseSha256Base64 } from "./content/piece-hash-file.ts";
export type { ExpectedPieceHashes, PieceHashFileResult } from "./content/piece-hash-file.ts";
export { copyInto } from "./content/copy-into.ts";
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
export { checkFileSpec, inlineManifestBytes } from "./job/file-spec.ts";
export type { JobFileSpec, PieceHashSource } from "./job/file-spec.ts";
export {
  ANY_NETWORK_COST,
  networkBlock,
  NETWORK_COSTS,
  STANDARD_NETWORK_COSTS,
  USUAL_NETWORK,
} from "./job/network.ts";
export type { NetworkCost, NetworkNeeds, NetworkState } from "./job/network.ts";
export { isPrivateFile } from "./job/private-content.ts";
export { checkOriginRequest } from "./job/origin-request.ts";
export { checkRanges, RangeMap } from "./job/ranges.ts";
export type { JobRange } from "./job/ranges.ts";
export { isJobId, JOB_PRIORITIES, parseJobRecord } from "./job/record.ts";
export type {
  JobAttribute,
  JobError,
  JobFileRecord,
  JobPriority,
  JobRecord,
  JobValues,
} from "./job/record.ts";
export { checkJobRequest } from "./job/request.ts";
export type { JobChange, JobRequest, JobValueChange, Nullable, VerbGuard } from "./job/request.ts";
export { isBoolean, isCount, isList, isObject, isOneOf, isRecordOf, isText } from "./job/shape.ts";
export type { Check } from "./job/shape.ts";
export {
  isActiveState,
  isFinalState,
  JOB_FACT_TABLE,
  JOB_FACTS,
  JOB_STATES,
  JOB_VERB_TABLE,
  JOB_VERBS,
} from "./job/states.ts";
export type { JobFact, JobState, JobVerb, PlainVerb } from "./job/states.ts";
export { groupKeyOf } from "./policy/group-key.ts";
export { parseMonthUsage } from "./policy/month-usage.ts";
export type { MonthUsage } from "./policy/month-usage.ts";
export { decidePeering, isPeeringMode } from "./policy/peering.ts";
export type { MachineFacts, Peering } from "./policy/peering.ts";
export {
  isByPeerClass,
  noneByClass,
  PEER_CLASSES,
  RECEIVED_COUNTERS,
  SENT_COUNTERS,
} from "./policy/peer-class.ts";
export type { ByPeerClass, PeerClass } from "./policy/peer-class.ts";
export { TokenBucket } from "./pace/token-bucket.ts";
export { Picker } from "./picker/picker.ts";
export type { EngineCommand, SchedulerCommand, SchedulerEvent } from "./ports/events.ts";
export { parseHttpDate } from "./ports/http-date.ts";
export { TLS_TOLERANCES, validatorKey } from "./ports/origin-port.ts";
export type {
  HeaderField,
  OriginCommand,
  OriginEvent,
  OriginFailure,
  OriginFailureKind,
  OriginRequestOptions,
  OriginResponse,
  TlsTolerance,
  Validator,
} from "./ports/origin-port.ts";
export type { EventSink, PayloadOps, PieceBytes, Port } from "./ports/port.ts";
export type {
  AcceptedManifest,
  OpenContent,
  OpenedPieces,
  PieceSource,
  ResumableContent,
  StoreCommand,
  StoredAnnouncement,
  StoredContent,
  StoreEvent,
} from "./ports/store-port.ts";
export type {
  Offence,
  PeerReach,
  PresenceRole,
  RefusalReason,
  SwarmCommand,
  SwarmEvent,
} from "./ports/swarm-port.ts";
export { hashText32, mix32, Random } from "./random.ts";
export { COUNTERS, Counters } from "./registry/counters.ts";
export type { CounterName } from "./registry/counters.ts";
export { errorInfo, ERRORS, ShoalError } from "./registry/errors.ts";
export type { ErrorCode, ErrorInfo, ErrorRow } from "./registry/errors.ts";
export {
  hresultName,
  hresultOfErrno,
  hresultOfHttpStatus,
  HRESULTS,
  isFailure,
  isTransientHResult,
  toInt32,
} from "./registry/hresults.ts";
export type { HResultSymbol } from "./registry/hresults.ts";
export { GAUGES } from "./registry/gauges.ts";
export type { GaugeName, GaugeRow } from "./registry/gauges.ts";
export { LIMITS } from "./registry/limits.ts";
export { PACE_SETTINGS } from "./registry/pace-settings.ts";
export { CONTENT_CACHE_SETTINGS } from "./registry/content-cache-settings.ts";
export type { PaceSettingName, PaceSettings } from "./registry/pace-settings.ts";
export { REASONS } from "./registry/reasons.ts";
export type {
  OriginReason,
  PeerReason,
  PieceReason,
  ReasonCode,
  ReasonRow,
  ReasonSubject,
} from "./registry/reasons.ts";
export { checkPolicyValue, isPolicyName, parsePolicyValue, POLICIES } from "./registry/policies.ts";
export type {
  Policies,
  PolicyName,
  PolicyOptions,
  PolicyRow,
  PolicyValue,
} from "./registry/policies.ts";
export { POLICY_REASONS } from "./registry/policy-reasons.ts";
export type { PolicyReason } from "./registry/policy-reasons.ts";
export { DOWNLOAD_MODES, PEER_RESTRICTIONS } from "./registry/policy-settings.ts";
export { POLICY_PRESETS, resolvePolicies } from "./registry/resolve-policies.ts";
export type {
  EffectivePolicy,
  EffectiveSetting,
  PolicyPreset,
  Provider,
  PolicyRequest,
  ResolvedPolicies,
} from "./registry/resolve-policies.ts";
export { SECURITY_EVENTS } from "./registry/security-events.ts";
export type { SecurityEventCode, SecurityEventRow } from "./registry/security-events.ts";
export { isSettingValue, resolveSettings, SETTINGS } from "./registry/settings.ts";
export type { SettingName, SettingRow, Settings } from "./registry/settings.ts";
export { addressKey } from "./schedule/address-key.ts";
export { parseRememberedPeer } from "./schedule/peer-memory.ts";
export type { RememberedPeer } from "./schedule/peer-memory.ts";
export { parseConductRecord } from "./schedule/conduct-record.ts";
export type { ConductRecord, SubjectKind } from "./schedule/conduct-record.ts";
export type { Ban, BanList } from "./schedule/conduct.ts";
export { isCacheHost } from "./schedule/cache-hosts.ts";
export type { Notice } from "./schedule/notice.ts";
export type { AgentTotals, ContentOverview, PeerOverview } from "./schedule/overview.ts";
export type { MonthCount } from "./schedule/month-meter.ts";
export type { FoundBy } from "./schedule/known-peer.ts";
export { Scheduler } from "./schedule/scheduler.ts";
export type { SchedulerDeps } from "./schedule/scheduler-deps.ts";
export type {
  ExplainedFile,
  ExplainedPeer,
  ExplainedShare,
  JobExplanation,
  JobExplanationHead,
  PolicyVerdict,
  Reason,
} from "./schedule/explanation.ts";
export type { PlaceStanding } from "./schedule/file-sources.ts";
export type { ExplainedSource, PieceRun, SourceShare } from "./schedule/piece-record.ts";
export { FILE_PHASES } from "./schedule/snapshot.ts";
export type {
  FilePhase,
  FileSnapshot,
  JobFacts,
  JobSnapshot,
  JobStateFields,
  JobSummary,
  VerbOutcome,
  VerbResult,
} from "./schedule/snapshot.ts";
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
  UnixMillis,
} from "./units.ts";
