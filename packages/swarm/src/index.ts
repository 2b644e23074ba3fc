/** `@shoal/swarm`: peers over libp2p. The protocol is specified in docs/wire.md. */
export type { MdnsOptions } from "./discovery.ts";
export { groupNameOf } from "./group.ts";
export { NOT_OF_OUR_GROUP, OF_ANOTHER_GROUP } from "./dial-failure.ts";
export { createIdentity, inspectIdentity, loadIdentity } from "./identity.ts";
export type { IdentityState } from "./identity.ts";
export type { PrivateKey } from "./identity.ts";
export { createSwarm, SWARM_PROTOCOL } from "./swarm.ts";
export type { Swarm, SwarmDeps } from "./swarm.ts";
export type { SwarmOptions } from "./swarm-options.ts";
