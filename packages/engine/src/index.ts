/** `@shoal/engine`: drives the core. One loop, one clock. */
export { monotonicClock } from "./clock.ts";
export type { Clock } from "./clock.ts";
export { Engine } from "./loop.ts";
export type { EngineDeps, EnginePorts } from "./loop.ts";
