/** What whoever runs a scheduler gives it; some of it is the user's choice. */
import type { Publisher } from "../content/publisher.ts";
import type { Random } from "../random.ts";
import type { Settings } from "../registry/settings.ts";
import type { PeerId } from "../units.ts";

export interface SchedulerDeps {
  readonly random: Random;
  readonly settings: Settings;
  /** This agent's own peer id. */
  readonly selfId: PeerId;
  /** Cache servers to ask before the origin, each one that `isCacheHost` accepts. Default: none. */
  readonly cacheHosts?: readonly string[];
  /** Whose signed manifests are believed, no key in two of them. Default: nobody's. */
  readonly publishers?: readonly Publisher[];
}
