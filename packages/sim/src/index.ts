/** `@shoal/sim`: the shipped core and loop in virtual time. */
export { EventTrace } from "./event-trace.ts";
export { Downlink, FairLink } from "./fair-link.ts";
export type { Flow } from "./fair-link.ts";
export { SimDisk } from "./sim-disk.ts";
export type { DiskFile, SimDiskOptions } from "./sim-disk.ts";
export { SimNetwork } from "./sim-network.ts";
export type { SimNetworkOptions } from "./sim-network.ts";
export { SimOriginServer } from "./sim-origin-server.ts";
export type { OriginFile, OriginTrouble, SimOriginServerOptions } from "./sim-origin-server.ts";
export { SimOrigin } from "./sim-origin.ts";
export type { SimOriginDeps, SimOriginOptions } from "./sim-origin.ts";
export { SimPayloads } from "./sim-payload.ts";
export type { SimPayload } from "./sim-payload.ts";
export { SimStore } from "./sim-store.ts";
export type { SimStoreDeps } from "./sim-store.ts";
export { SimSwarm } from "./sim-swarm.ts";
export type { PeerBehaviour, SimSwarmDeps, SimSwarmOptions } from "./sim-swarm.ts";
export { VirtualClock } from "./virtual-clock.ts";
