/**
 * How a command's agent reaches origins: by the proxies that the usual environment variables name,
 * and trusting the authorities of `--ca` beside the usual ones. This is the only place that reads
 * those variables; the lower-case one of each pair counts first.
 */
import type { AgentOptions } from "../start-agent.ts";
import type { CommandContext } from "./command-context.ts";

export function wayOut(
  { ca }: { readonly ca?: string },
  env: CommandContext["env"],
): Pick<AgentOptions, "caFile" | "proxy"> {
  const [http, https, noProxy] = ["http_proxy", "https_proxy", "no_proxy"].map(
    (name) => env[name] ?? env[name.toUpperCase()],
  );
  const proxy = {
    ...(http === undefined ? {} : { http }),
    ...(https === undefined ? {} : { https }),
    ...(noProxy === undefined ? {} : { noProxy }),
  };
  return { proxy, ...(ca === undefined ? {} : { caFile: ca }) };
}
