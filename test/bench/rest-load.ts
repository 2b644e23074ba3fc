/**
 * A process that loads an agent's REST API until its channel closes: watchers of events, and requests
 * at a rate, kept by making up for what is late. Arguments: socket, watchers, requests a second. Its
 * messages: `ready`, and then how many requests were answered each second.
 */
import { Agent, get } from "node:http";
import type { IncomingMessage } from "node:http";

const [socketPath = "", watcherCount = "0", requestsPerSec = "0"] = process.argv.slice(2);
const TICK_MS = 10;
const headers = { host: "localhost" };
const agent = new Agent({ keepAlive: true, maxSockets: 8 });
const PATHS = ["/v1/jobs", "/v1/stats", "/v1/content", "/v1/agent"];

let answeredCount = 0;
let askedCount = 0;
let openCount = 0;

function ask(): void {
  const path = PATHS[askedCount % PATHS.length] ?? "";
  askedCount++;
  openCount++;
  get({ socketPath, path, headers, agent }, (response: IncomingMessage) => {
    response.resume();
    response.once("close", () => {
      openCount--;
      answeredCount++;
    });
  }).on("error", () => openCount--);
}

async function watch(): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  get({ socketPath, path: "/v1/events", headers, agent: false }, resolve).on("error", reject);
  const response = await promise;
  if (response.statusCode !== 200) throw new Error(`watching: ${response.statusCode}`);
  response.resume();
}

for (let i = 0; i < Number(watcherCount); i++) await watch();
process.send?.({ type: "ready" });
const startedAt = performance.now();
setInterval(() => {
  const due = ((performance.now() - startedAt) / 1_000) * Number(requestsPerSec);
  // Whoever is far behind asks no more than the agent can answer.
  while (askedCount < due && openCount < 64) ask();
}, TICK_MS);
setInterval(() => {
  if (process.connected) process.send?.({ type: "answered", count: answeredCount });
  answeredCount = 0;
}, 1_000);
process.on("error", () => process.exit(0));
process.on("disconnect", () => process.exit(0));
