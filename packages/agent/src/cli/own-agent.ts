/** Options that only an agent of the command's own can take: one that runs has its own. */

interface OwnAgentOptions {
  readonly peer?: readonly string[];
  readonly listen?: readonly string[];
  readonly cacheHost?: readonly string[];
  readonly trust?: readonly string[];
  readonly groupKey?: readonly string[];
  readonly mdns: boolean;
  readonly ca?: string;
  readonly state?: string;
  readonly setting?: object;
}

/** The names of those that were given, as they are typed. */
export function ownAgentFlags(options: OwnAgentOptions): readonly string[] {
  const { peer, listen, cacheHost, trust, groupKey, ca, state, setting } = options;
  const given = {
    "--peer": peer,
    "--listen": listen,
    "--cache-host": cacheHost,
    "--trust": trust,
    "--group-key": groupKey,
    "--no-mdns": options.mdns ? undefined : true,
    "--ca": ca,
    "--state": state,
    "--setting": setting,
  };
  return Object.entries(given).flatMap(([flag, value]) => (value === undefined ? [] : [flag]));
}
