/**
 * The swarm port of one simulated agent: commands become messages on the `SimNetwork`, and what
 * other agents send becomes events with the meaning of the real adapter's.
 *
 * Knows this agent's connections and the requests on them; pieces and manifests leave by
 * `SimUploads`. Decides nothing, except to misbehave as its options say: behaviours make this agent harm others while its
 * engine stays honest. Called by the engine (`execute`, `close`) and by the network; calls the
 * engine's sink, never from inside `execute`.
 */
import { addressKey, assert, LIMITS, NO_BUFFER } from "@shoal/core";
import type {
  ContentId,
  EventSink,
  Millis,
  PeerId,
  PeerReach,
  Port,
  PresenceRole,
  RequestId,
  SwarmCommand,
  SwarmEvent,
} from "@shoal/core";
import { FairLink } from "./fair-link.ts";
import { completeBehaviour } from "./peer-behaviour.ts";
import type { PeerBehaviour } from "./peer-behaviour.ts";
import { ConnectionEnd } from "./sim-connection.ts";
import type { Downlink } from "./fair-link.ts";
import { announcementOf, fullBitfield, messageOf } from "./sim-messages.ts";
import type { Addressed, Announcement } from "./sim-messages.ts";
import type { Delivery, SimNetwork } from "./sim-network.ts";
import type { SimPayload, SimPayloads } from "./sim-payload.ts";
import type { Site } from "./sim-site.ts";
import { SimUploads } from "./sim-uploads.ts";
import type { SentPiece } from "./sim-uploads.ts";

export interface SimSwarmDeps {
  readonly network: SimNetwork;
  readonly downlink: Downlink;
  readonly payloads: SimPayloads;
  readonly sink: EventSink<SimPayload>;
}

export interface SimSwarmOptions {
  readonly peerId: PeerId;
  readonly upRateBytesPerSec: number;
  /** One way, from this peer to the middle of the network; a path takes both ends'. Default 0.25. */
  readonly latencyMs?: Millis;
  /** The address others see; default one of its own. Behind a NAT, others of the site alone. */
  readonly host?: string;
  /** Default none: the large LAN. */
  readonly site?: Site | undefined;
  readonly behaviour?: PeerBehaviour;
}

export class SimSwarm implements Port<SwarmCommand, SimPayload> {
  readonly peerId: PeerId;
  readonly latencyMs: Millis;
  readonly host: string;
  readonly site: Site | undefined;
  readonly uplink: FairLink;
  readonly downlink: Downlink;
  readonly payloads: SimPayloads;
  readonly behaviour: Required<PeerBehaviour>;
  /** Messages on their way, by tick; the network's, and `undefined` while this peer is not on it. */
  inbox: Map<number, Delivery> | undefined;
  readonly #network: SimNetwork;
  readonly #sink: EventSink<SimPayload>;
  readonly #uploads: SimUploads;
  readonly #ends = new Map<PeerId, ConnectionEnd>();
  readonly #dialling = new Set<PeerId>();
  /** Peers and addresses, each after its kind. */
  readonly #refused = new Set<string>();
  /** What is to be published once there is a connection to publish it over. */
  readonly #presence = new Map<ContentId, PresenceRole>();
  #isOnline = true;
  #isClosed = false;

  constructor(deps: SimSwarmDeps, options: SimSwarmOptions) {
    const { network } = deps;
    this.peerId = options.peerId;
    this.latencyMs = options.latencyMs ?? 0.25;
    this.host = options.host ?? options.peerId;
    this.site = options.site;
    this.downlink = deps.downlink;
    this.payloads = deps.payloads;
    this.behaviour = completeBehaviour(options.behaviour);
    this.#network = network;
    this.#sink = deps.sink;
    this.uplink = new FairLink(network, {
      rateBytesPerSec: options.upRateBytesPerSec,
      sliceBytesMax: network.sliceBytesMax,
    });
    const emit = (event: SwarmEvent): void => this.#emit(event);
    this.#uploads = new SimUploads({ swarm: this, network, emit });
    network.attach(this);
  }

  /** Open connections. */
  get connectionCount(): number {
    return this.#ends.size;
  }

  execute(command: SwarmCommand, payload?: SimPayload): void {
    if (this.#isClosed) {
      if (payload !== undefined) this.payloads.release(payload);
      return;
    }
    switch (command.type) {
      case "dialPeer":
        return this.#dial(command.peerId);
      case "setRefusal": {
        const key = `${command.kind} ${command.subject}`;
        if (command.isRefused) this.#refused.add(key);
        else this.#refused.delete(key);
        return;
      }
      case "disconnectPeer":
        return this.#disconnect(command.peerId, command.reason);
      case "sendHave":
      case "sendClaim":
        return this.#announce(command);
      case "publishPresence":
        this.#presence.set(command.contentId, command.role);
        if (this.#ends.size > 0) this.#publishPresence();
        return;
      case "sendPiece":
        assert(payload !== undefined, "sendPiece comes with a payload");
        return this.#uploads.sendPiece(this.#openEnd(command.peerId), command, payload);
      case "sendManifest":
        return this.#uploads.sendManifest(this.#openEnd(command.peerId), command);
      default:
        return this.#send(command);
    }
  }

  close(): Promise<void> {
    if (this.#isClosed) return Promise.resolve();
    this.#isClosed = true;
    for (const end of this.#ends.values()) {
      this.#tellClosed(end, "the peer closed the connection");
      this.#uploads.abandon(end);
      this.#closeEnd(end);
    }
    this.#ends.clear();
    this.#network.detach(this);
    return Promise.resolve();
  }

  /** The agent's link goes, and every connection breaks; or it comes back. */
  setOnline(isOnline: boolean): void {
    if (this.#isClosed || this.#isOnline === isOnline) return;
    this.#isOnline = isOnline;
    if (isOnline) return this.#network.attach(this);
    for (const peerId of this.#ends.keys()) this.connectionLost(peerId);
    this.#network.detach(this);
  }

  /** Discovery: a hint about another peer. */
  discovered(peerId: PeerId): void {
    this.#emit({ type: "peerDiscovered", peerId, addresses: [`/sim/${peerId}`], isStatic: false });
  }

  /** Somebody's presence, passed on by peers. */
  presenceArrived(event: SwarmEvent): void {
    if (this.#ends.size > 0) this.#emit(event);
  }

  #publishPresence(): void {
    for (const [contentId, role] of this.#presence) {
      this.#network.publish(this, contentId, role);
    }
    this.#presence.clear();
  }

  /** A message from the other end of `end`. */
  receive(end: ConnectionEnd, event: SwarmEvent): void {
    if (event.type === "peerConnected" && end.state === "opening") {
      end.state = "open";
      this.#dialling.delete(event.peerId);
      this.#publishPresence();
      return this.#emit(event);
    }
    if (end.state !== "open") return;
    if (event.type === "peerDisconnected") return this.#drop(end, event.reason);
    if (isRequest(event) && !this.#admits(end, event)) return;
    if (!end.accepts(event)) return;
    this.#emit(event);
    if (event.type === "requestCancelled") this.#uploads.stop(end, event.requestId);
  }

  /** All of a piece from the other end of `end` has arrived. */
  pieceArrived(end: ConnectionEnd, sent: SentPiece): void {
    const { requestId, piece, byteLength, corrupt } = sent;
    const length = end.requests.get(requestId);
    if (end.state !== "open" || length === undefined) return this.#network.countLost(byteLength);
    const { peerId } = end.other.swarm;
    if (byteLength < length) return this.#network.countLost(byteLength);
    if (byteLength > length) {
      this.#network.countLost(byteLength);
      this.#emit({ type: "peerOffended", peerId, offence: "surplusBytes" });
      return this.connectionLost(peerId);
    }
    end.requests.delete(requestId);
    const payload = this.payloads.take(piece, byteLength, corrupt);
    this.#emit({ type: "peerPiece", peerId, requestId, bufferId: NO_BUFFER }, payload);
  }

  /** More requests than were promised are refused here, as in the real adapter (R-PEER-16). */
  #admits(end: ConnectionEnd, { requestId }: { readonly requestId: RequestId }): boolean {
    if (end.asked.size + end.uploads.size < LIMITS.requestsPerPeerMax) return true;
    const refused = { type: "requestRefused", requestId, reason: "busy" } as const;
    this.#network.post(end, { ...refused, peerId: this.peerId });
    const now = this.#network.clock.now();
    if (now < end.floodReportedAt + FLOOD_REPORT_INTERVAL_MS) return false;
    end.floodReportedAt = now;
    this.#emit({ type: "peerOffended", peerId: end.other.swarm.peerId, offence: "requestFlood" });
    return false;
  }

  /** The connection to `peerId` breaks for both sides at once. */
  connectionLost(peerId: PeerId): void {
    const end = this.#ends.get(peerId);
    if (end === undefined) return;
    this.#drop(end, "the connection broke");
    end.other.swarm.#drop(end.other, "the connection broke");
  }

  #emit(event: SwarmEvent, payload?: SimPayload): void {
    if (!this.#isClosed) return this.#sink(event, payload);
    if (payload !== undefined) this.payloads.release(payload);
  }

  #dial(peerId: PeerId): void {
    if (this.#ends.has(peerId) || this.#dialling.has(peerId)) return;
    this.#dialling.add(peerId);
    const { clock, dialTimeoutMs } = this.#network;
    const canDial = this.#isOnline && peerId !== this.peerId;
    const target = canDial ? this.#network.find(peerId) : undefined;
    if (target === undefined) {
      clock.schedule(clock.now() + 2 * this.latencyMs, () => this.#dialFailed(peerId, "refused"));
      return;
    }
    if (this.site === target.site || target.site?.hasNat !== true) {
      clock.schedule(clock.now() + this.#network.latencyMs(this, target), () => {
        if (!this.#isClosed) target.#dialArrived(this);
      });
    }
    clock.schedule(clock.now() + dialTimeoutMs, () => this.#dialFailed(peerId, "no answer"));
  }

  #dialFailed(peerId: PeerId, reason: string): void {
    if (this.#dialling.delete(peerId)) this.#emit({ type: "dialFailed", peerId, reason });
  }

  /** Of two dials that cross, the first to arrive makes the connection and the other is ignored. */
  #dialArrived(dialler: SimSwarm): void {
    if (this.#isClosed || this.#ends.has(dialler.peerId)) return;
    if (!this.#isOnline || !dialler.#isOnline) return;
    if (this.#refuses(dialler)) return dialler.#dialFailed(this.peerId, "refused");
    const end = ConnectionEnd.accept(this, dialler);
    this.#ends.set(dialler.peerId, end);
    dialler.#ends.set(this.peerId, end.other);
    this.#dialling.delete(dialler.peerId);
    const requestsMax = LIMITS.requestsPerPeerMax;
    const connected = { type: "peerConnected", requestsMax } as const;
    this.#network.post(end, { ...connected, peerId: this.peerId, ...this.#placeFor(dialler) });
    this.#publishPresence();
    this.#emit({ ...connected, peerId: dialler.peerId, ...dialler.#placeFor(this) });
    const lossAt = this.#network.drawLossAt();
    this.#network.clock.schedule(lossAt, () => {
      if (end.state === "open") this.connectionLost(dialler.peerId);
    });
  }

  #refuses(dialler: SimSwarm): boolean {
    const address = addressKey(dialler.#hostFor(this));
    return this.#refused.has(`peer ${dialler.peerId}`) || this.#refused.has(`address ${address}`);
  }

  /** The address under which the other sees this peer: behind a NAT it is the site's. */
  #hostFor({ site }: SimSwarm): string {
    const isTranslated = this.site?.hasNat === true && this.site !== site;
    return isTranslated ? `nat-${this.site.name}` : this.host;
  }

  /** A site is a subnet; the large LAN, where nobody has a site, is many. */
  #placeFor(other: SimSwarm): { readonly host: string; readonly reach: PeerReach } {
    const host = this.#hostFor(other);
    if (this.site === undefined || this.site !== other.site) return { host, reach: "private" };
    return { host, reach: "subnet" };
  }

  #disconnect(peerId: PeerId, reason: string): void {
    const end = this.#openEnd(peerId);
    if (end === undefined) return;
    this.#tellClosed(end, "the peer closed the connection");
    this.#closeEnd(end);
    this.#soon(() => this.#drop(end, reason));
  }

  /** Ends what is left on a connection and says so; silent for one that never opened. */
  #drop(end: ConnectionEnd, reason: string): void {
    const { peerId } = end.other.swarm;
    if (this.#ends.get(peerId) !== end) return;
    const wasOpening = end.state === "opening";
    for (const requestId of end.uploads.keys()) this.#uploads.stop(end, requestId);
    this.#closeEnd(end);
    this.#ends.delete(peerId);
    if (!wasOpening) this.#emit({ type: "peerDisconnected", peerId, reason });
  }

  #closeEnd(end: ConnectionEnd): void {
    end.state = "closed";
    end.requests.clear();
    end.asked.clear();
  }

  #tellClosed(end: ConnectionEnd, reason: string): void {
    this.#network.post(end, { type: "peerDisconnected", peerId: this.peerId, reason });
  }

  #openEnd(peerId: PeerId): ConnectionEnd | undefined {
    const end = this.#ends.get(peerId);
    return end?.state === "open" ? end : undefined;
  }

  /** Runs once the command being executed is done with. */
  #soon(wake: () => void): void {
    this.#network.clock.schedule(this.#network.clock.now(), wake);
  }

  /** One message object serves all receivers: it says nothing about them. */
  #announce(command: Announcement): void {
    const message = announcementOf(this.peerId, command);
    for (const receiver of command.peerIds) {
      const end = this.#openEnd(receiver);
      if (end !== undefined) this.#network.post(end, message);
    }
  }

  #send(command: Addressed): void {
    const end = this.#openEnd(command.peerId);
    if (end === undefined || !end.sends(command)) return;
    // Who lies about what it holds has said all that there is to say when it joined.
    if (this.behaviour.claimsAll && command.type === "sendBitfield") return;
    this.#network.post(end, messageOf(this.peerId, command));
    if (!this.behaviour.claimsAll || command.type !== "sendJoin") return;
    const { contentId } = command;
    const pieceCount = this.#network.pieceCountOf(contentId);
    if (pieceCount === undefined) return;
    this.#network.post(end, fullBitfield(this.peerId, contentId, pieceCount));
  }
}

type Asking = Extract<SwarmEvent, { type: `${string}Requested` }>;

function isRequest(event: SwarmEvent): event is Asking {
  switch (event.type) {
    case "pieceRequested":
    case "manifestRequested":
    case "announcementRequested":
      return true;
    default:
      return false;
  }
}

/** Floods count once a second (R-PEER-16). */
const FLOOD_REPORT_INTERVAL_MS = 1_000;
