/** `@shoal/agent/manual`: the command line as documents, for pages and packages made from it. */
export { exitCodeRows } from "./cli/failure.ts";
export { manPage } from "./cli/man-page.ts";
