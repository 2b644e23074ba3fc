/**
 * Attackers: each is one way of speaking the peer protocol that an honest agent never has. They
 * dial the agent, greet it, and do what their name says as soon as it wants their content.
 *
 * Knows what is said on a connection. What it costs the agent is for the test to measure.
 */
import { connect } from "node:net";
import type { Socket } from "node:net";
import { decodeManifest, digestOfContentId, KiB, LIMITS, PieceSet } from "@shoal/core";
import type { PieceLayout } from "@shoal/core";
import { readFile } from "node:fs/promises";
import { FRAME, frame, header, Stranger, words } from "../../packages/swarm/test/stranger.ts";
import type { Talk } from "../../packages/swarm/test/stranger.ts";
import type { TestContent } from "./harness.ts";
import { until } from "./harness.ts";

/** Not found, as REFUSE has it. */
const NOT_FOUND = 1;
const HELLO = frame(FRAME.hello, Buffer.of(0, 1, 0, 0), words(8));

/** What an attacker knows of the content it pretends to share. */
export class Booty {
  readonly digest: Uint8Array;
  readonly layout: PieceLayout;
  readonly #bytes: Buffer;

  private constructor(content: TestContent, bytes: Buffer) {
    const decoded = decodeManifest(content.manifestBytes);
    if (!decoded.ok) throw new Error(decoded.reason);
    this.digest = digestOfContentId(content.contentId);
    this.layout = decoded.manifest.layout;
    this.#bytes = bytes;
  }

  static async of(content: TestContent): Promise<Booty> {
    return new Booty(content, await readFile(content.path));
  }

  piece(piece: number): Buffer {
    return this.#bytes.subarray(this.layout.start(piece), this.layout.end(piece));
  }

  /** BITFIELD of everything, or of nothing. */
  bitfield(holds: "all" | "none"): Buffer {
    const { pieceCount } = this.layout;
    const set = holds === "all" ? PieceSet.full(pieceCount) : new PieceSet(pieceCount);
    return frame(FRAME.bitfield, this.digest, words(pieceCount), set.toBytes());
  }
}

/** One way to misbehave. What is not defined is done as an honest peer with everything would. */
export interface Attack {
  /** The agent takes part in the content. Default: joins, and claims to hold everything. */
  joined?(talk: Talk, booty: Booty): void;
  /** The agent wants a piece. Default: nothing. */
  requested?(talk: Talk, request: { id: number; piece: number }, booty: Booty): void;
}

/** PIECE_DATA frames with these bytes. */
function data(id: number, bytes: Uint8Array): Buffer {
  const slices: Buffer[] = [];
  const sliceLength = LIMITS.sliceBytesMax;
  for (let at = 0; at < bytes.length; at += sliceLength) {
    slices.push(frame(FRAME.pieceData, words(id), bytes.subarray(at, at + sliceLength)));
  }
  return Buffer.concat(slices);
}

function join(talk: Talk, booty: Booty, holds: "all" | "none" = "all"): void {
  talk.send(frame(FRAME.join, booty.digest));
  talk.send(booty.bitfield(holds));
}

/** Every byte flipped. */
export class CorruptPieces implements Attack {
  requested(talk: Talk, { id, piece }: { id: number; piece: number }, booty: Booty): void {
    talk.send(
      data(
        id,
        booty.piece(piece).map((byte) => byte ^ 0xff),
      ),
    );
  }
}

/** Half of the piece, and nothing more. */
export class TruncatedPieces implements Attack {
  requested(talk: Talk, { id, piece }: { id: number; piece: number }, booty: Booty): void {
    const bytes = booty.piece(piece);
    talk.send(data(id, bytes.subarray(0, bytes.length / 2)));
  }
}

/** Right bytes, of the piece after the one that was asked for. */
export class WrongPieces implements Attack {
  requested(talk: Talk, { id, piece }: { id: number; piece: number }, booty: Booty): void {
    const { pieceCount } = booty.layout;
    talk.send(data(id, booty.piece((piece + 1) % pieceCount)));
  }
}

/** The right piece, and then data for it without end. */
export class EndlessData implements Attack {
  pouredBytes = 0;

  requested(talk: Talk, { id, piece }: { id: number; piece: number }, booty: Booty): void {
    const slice = data(id, booty.piece(piece));
    void talk.pour(() => slice).then((bytes) => (this.pouredBytes += bytes));
  }
}

/** Data for a request that nobody made. */
export class UnsolicitedData implements Attack {
  joined(talk: Talk, booty: Booty): void {
    join(talk, booty);
    talk.send(data(77, booty.piece(0)));
  }
}

/** A frame that says it is 4 GiB long, and then tries to be. */
export class GiantFrame implements Attack {
  readonly #type: number;

  constructor(type: number) {
    this.#type = type;
  }

  joined(talk: Talk, booty: Booty): void {
    join(talk, booty);
    talk.send(header(this.#type, 0xffff_ffff));
    const bytes = new Uint8Array(64 * KiB);
    void talk.pour(() => bytes);
  }
}

/** Claims everything, and says of each piece that it does not have it. */
export class RefusesEverything implements Attack {
  requested(talk: Talk, { id }: { id: number }): void {
    talk.send(frame(FRAME.refuse, words(id), Buffer.of(NOT_FOUND)));
  }
}

/** A have-map of a content with another number of pieces; well-formed, and so for core to see. */
export class WrongHaveMap implements Attack {
  joined(talk: Talk, booty: Booty): void {
    const bits = PieceSet.full(booty.layout.pieceCount + 8).toBytes();
    talk.send(frame(FRAME.join, booty.digest));
    const count = words(booty.layout.pieceCount + 8);
    talk.send(frame(FRAME.bitfield, booty.digest, count, bits));
  }
}

/** A have-map with bits behind its end. */
export class SpareBits implements Attack {
  joined(talk: Talk, booty: Booty): void {
    talk.send(frame(FRAME.join, booty.digest));
    talk.send(frame(FRAME.bitfield, booty.digest, words(3), Buffer.of(0xff)));
  }
}

/** A have-map as often as it can be sent. */
export class HaveMapSpam implements Attack {
  joined(talk: Talk, booty: Booty): void {
    join(talk, booty, "none");
    const maps = [booty.bitfield("all"), booty.bitfield("none")];
    let turn = 0;
    void talk.pour(() => maps[turn++ % 2]!);
  }
}

/** HAVE of every piece over and over, many in one frame. */
export class HaveSpam implements Attack {
  joined(talk: Talk, booty: Booty): void {
    join(talk, booty, "none");
    const { pieceCount } = booty.layout;
    const pieces = Array.from({ length: 4_096 }, (_, i) => i % pieceCount);
    const have = frame(FRAME.have, booty.digest, words(...pieces));
    void talk.pour(() => have);
  }
}

/** HAVE of a piece that the content does not have. */
export class HaveBeyondTheEnd implements Attack {
  joined(talk: Talk, booty: Booty): void {
    join(talk, booty, "none");
    talk.send(frame(FRAME.have, booty.digest, words(booty.layout.pieceCount)));
  }
}

/** Asks for one piece again and again, and never reads the answers. */
export class RequestFlood implements Attack {
  readonly #content: "known" | "unknown";

  constructor(content: "known" | "unknown") {
    this.#content = content;
  }

  joined(talk: Talk, booty: Booty): void {
    join(talk, booty, "none");
    if (this.#content === "known") talk.stopReading();
    const digest = this.#content === "known" ? booty.digest : Buffer.alloc(32, 7);
    let id = 0;
    const burst = (): Buffer => {
      const requests = Array.from({ length: 64 }, () =>
        frame(FRAME.request, words(++id), digest, words(0)),
      );
      return Buffer.concat(requests);
    };
    void talk.pour(burst);
  }
}

/** One byte of each piece a second. */
export class SlowDrip implements Attack {
  requested(talk: Talk, { id, piece }: { id: number; piece: number }, booty: Booty): void {
    const bytes = booty.piece(piece);
    let at = 0;
    const drip = (): void => {
      if (talk.isOver) return clearInterval(timer);
      talk.send(frame(FRAME.pieceData, words(id), bytes.subarray(at, ++at)));
    };
    const timer = setInterval(drip, 1_000).unref();
    drip();
  }
}

/** Announces to fetch everything from the origin, again and again, and never does. */
export class ClaimSpam implements Attack {
  joined(talk: Talk, booty: Booty): void {
    join(talk, booty, "none");
    const { pieceCount } = booty.layout;
    let first = 0;
    const claim = (): void => {
      if (talk.isOver) return clearInterval(timer);
      const rest = words(first, pieceCount - first);
      talk.send(frame(FRAME.claim, booty.digest, rest));
      first = (first + 1) % 16;
    };
    const timer = setInterval(claim, 20).unref();
    claim();
  }
}

/** Takes part with nothing, so that it owns its share of the runs, and is silent. */
export class SilentOwner implements Attack {
  joined(talk: Talk, booty: Booty): void {
    join(talk, booty, "none");
  }
}

/** Claims to hold everything, and answers nothing. */
export class SilentSeed implements Attack {}

/** An attacker on the network: an identity of its own, and what it does with it. */
export class Intruder implements AsyncDisposable {
  /** Pieces that were asked of it. */
  requestedCount = 0;
  /** Connections that the agent, or the attack, has ended. */
  endedCount = 0;
  readonly #stranger: Stranger;
  readonly #attack: Attack;
  readonly #booty: Booty;

  private constructor(stranger: Stranger, attack: Attack, booty: Booty) {
    this.#stranger = stranger;
    this.#attack = attack;
    this.#booty = booty;
  }

  static async create(attack: Attack, booty: Booty): Promise<Intruder> {
    // Agents that know its address may dial it too; what was agreed to is the same then.
    const stranger = await Stranger.create((talk) => intruder.#attend(talk));
    const intruder = new Intruder(stranger, attack, booty);
    return intruder;
  }

  get peerId(): string {
    return this.#stranger.peerId;
  }

  get address(): string {
    return this.#stranger.address;
  }

  /** Dials and greets; false when the agent does not want it. */
  async enter(agent: string): Promise<boolean> {
    const talk = await this.#stranger.dial(agent).catch(() => undefined);
    if (talk === undefined) return false;
    let isGreeted = false;
    this.#attend(talk, () => (isGreeted = true));
    await until(() => isGreeted || talk.isOver, "an answer to HELLO");
    return isGreeted;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stranger[Symbol.asyncDispose]();
  }

  #attend(talk: Talk, onGreeted = (): void => {}): void {
    let hasJoined = false;
    talk.onEnd = () => void this.endedCount++;
    talk.onFrame = (type, body) => {
      if (type === FRAME.hello) onGreeted();
      if (type === FRAME.join && !hasJoined) {
        hasJoined = true;
        if (this.#attack.joined === undefined) join(talk, this.#booty);
        else this.#attack.joined(talk, this.#booty);
      }
      if (type === FRAME.manifestRequest) {
        talk.send(frame(FRAME.refuse, body.subarray(0, 4), Buffer.of(NOT_FOUND)));
      }
      if (type === FRAME.request) {
        this.requestedCount++;
        const request = { id: body.readUInt32BE(0), piece: body.readUInt32BE(36) };
        this.#attack.requested?.(talk, request, this.#booty);
      }
    };
    talk.send(HELLO);
  }
}

/**
 * Connections that lead to nothing: bare sockets, sockets that speak half a handshake, encrypted
 * connections without a stream, and with a stream but no greeting, and many streams.
 */
export class HalfOpen implements AsyncDisposable {
  readonly #sockets: Socket[] = [];
  readonly #strangers: Stranger[] = [];

  get openSockets(): number {
    return this.#sockets.filter(({ destroyed }) => !destroyed).length;
  }

  /** Opens as many of each kind as the agent lets it. */
  async press(agent: string, count: number): Promise<void> {
    const port = Number(agent.split("/")[4]);
    for (let i = 0; i < count; i++) {
      const socket = connect(port, "127.0.0.1").on("error", () => {});
      if (i % 2 === 0) socket.write("\x13/multistream/1.0.0\n\x07/noi");
      socket.resume();
      this.#sockets.push(socket);
    }
    const stranger = await Stranger.create(() => {});
    this.#strangers.push(stranger);
    const bare = await stranger.connect(agent).catch(() => undefined);
    await stranger.dial(agent).catch(() => undefined);
    if (bare === undefined) return;
    const streams = Array.from({ length: count }, () =>
      bare.newStream("/never/1.0.0", { maxOutboundStreams: count }).catch(() => undefined),
    );
    await Promise.all(streams);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all(this.#strangers.map((stranger) => stranger[Symbol.asyncDispose]()));
  }
}
