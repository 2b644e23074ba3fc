/** `@shoal/jobs`: create, watch and complete transfers. See docs/job-states.md for the states. */
export { announceTo } from "./announce-to.ts";
export type {
  ByteRange,
  CreateJobFile,
  CreateJobOptions,
  JobSettings,
} from "./create-job-options.ts";
export type { JobEvent } from "./job-events.ts";
export type { JobHost } from "./job-host.ts";
export type {
  FileKey,
  JobCaller,
  JobService,
  ServiceAnnouncement,
  ServiceJobRequest,
  ServiceWatcher,
  StreamTaker,
} from "./job-service.ts";
export { Job } from "./job.ts";
export type { JobChangeOptions, JobOptions, ProgressOptions, VerbOptions } from "./job.ts";
export { Jobs } from "./jobs.ts";
export { LocalJobService } from "./local-job-service.ts";
export { connectJobs, connectJobService, connectRest } from "./remote/connect-jobs.ts";
export type { ConnectJobsOptions } from "./remote/connect-jobs.ts";
export { followEvents } from "./remote/remote-events.ts";
export { RemoteJobService } from "./remote/remote-job-service.ts";
export { RestClient } from "./remote/rest-client.ts";
export type { AgentAddress, CallOptions } from "./remote/rest-client.ts";
export { parseMetalink } from "./metalink.ts";
export type { MetalinkOptions } from "./metalink.ts";
