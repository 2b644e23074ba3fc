/**
 * One WebTorrent peer on loopback, for the benchmarks in the folder above.
 *
 *   webtorrent-peer.mjs DIRECTORY_OF_WEBTORRENT seed|get TORRENT DIRECTORY
 *
 * Says `ready PORT`, and `done` once every piece is verified and written. Takes `meet PORT…` on
 * stdin: whom to connect with. Ends with stdin. Talks TCP, and to nobody but the peers it is told of.
 */
import { readFileSync } from "node:fs";
import { registerHooks } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const [place = "", role, torrentFile = "", path = ""] = process.argv.slice(2);
// WebRTC needs a native build, and plays no part between programs that speak TCP.
const WEBRTC = ["RTCPeerConnection", "RTCSessionDescription", "RTCIceCandidate"];
const noWebRtc = WEBRTC.map((name) => `export const ${name} = undefined;`).join("");
registerHooks({
  resolve: (specifier, context, next) =>
    specifier === "webrtc-polyfill"
      ? { url: `data:text/javascript,${noWebRtc}`, shortCircuit: true }
      : next(specifier, context),
});
const entry = pathToFileURL(join(place, "node_modules", "webtorrent", "index.js"));
const { default: WebTorrent } = await import(entry.href);
const client = new WebTorrent({
  dht: false,
  lsd: false,
  natPmp: false,
  natUpnp: false,
  tracker: false,
  utp: false,
  utPex: false,
});
const torrent = client.add(readFileSync(torrentFile), {
  path,
  announce: [],
  skipVerify: role === "seed",
});
torrent.on("ready", () => {
  if (role === "get") torrent.on("done", () => console.log("done"));
  console.log("ready", client.torrentPort);
});
const lines = createInterface({ input: process.stdin });
lines.on("line", (line) => {
  for (const port of line.split(" ").slice(1)) torrent.addPeer(`127.0.0.1:${port}`);
});
lines.on("close", () => process.exit(0));
