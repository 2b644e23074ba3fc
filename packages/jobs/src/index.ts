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
export { connectJobs, connectJobService } from "./remote/connect-jobs.ts";
export type { ConnectJobsOptions, JobSocketAddress } from "./remote/connect-jobs.ts";
export { listenForJobs } from "./remote/listen-for-jobs.ts";
export type { JobListener, ListenForJobsOptions } from "./remote/listen-for-jobs.ts";
export { parseMetalink } from "./metalink.ts";
export type { MetalinkOptions } from "./metalink.ts";
export { serveJobService } from "./remote/serve-job-service.ts";
export type { ServeJobsDeps } from "./remote/serve-job-service.ts";
