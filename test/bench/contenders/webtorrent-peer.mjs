/**
 * One WebTorrent peer on loopback, for the benchmarks in the folder above.
 *
 *   webtorrent-peer.mjs DIRECTORY_OF_WEBTORRENT seed|get TORRENT DIRECTORY [WARM_UP_TORRENT DIRECTORY]
 *
 * Says `ready PORT`, and `done` once every piece is verified and written, `warm` once those of the
 * warm-up are. Takes `meet PORT…` and `warm PORT…` on stdin: whom to connect with. Ends with stdin.
 * Talks TCP, and to nobody but the peers it is told of.
 */
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { registerHooks } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const [place = "", role, ...places] = process.argv.slice(2);
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

/** Resolves when the torrent is known, and says `word` when it is complete. */
async function add(torrentFile, path, word) {
  const torrent = client.add(readFileSync(torrentFile), {
    path,
    announce: [],
    skipVerify: role === "seed",
  });
  await once(torrent, "ready");
  if (role === "get") torrent.on("done", () => console.log(word));
  return torrent;
}

const torrents = { meet: await add(places[0], places[1], "done") };
if (places.length > 2) torrents.warm = await add(places[2], places[3], "warm");
console.log("ready", client.torrentPort);
const lines = createInterface({ input: process.stdin });
lines.on("line", (line) => {
  const [verb, ...ports] = line.split(" ");
  for (const port of ports) torrents[verb].addPeer(`127.0.0.1:${port}`);
});
lines.on("close", () => process.exit(0));
