/** `@shoal/jobs`: create, watch and complete transfers. See docs/job-states.md for the states. */
export type { CreateJobFile, CreateJobOptions } from "./create-job-options.ts";
export type { JobHost } from "./job-host.ts";
export { Job } from "./job.ts";
export type { JobOptions, ProgressOptions, VerbOptions } from "./job.ts";
export { Jobs } from "./jobs.ts";
