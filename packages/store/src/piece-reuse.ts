/**
 * Finds missing pieces of a content that lie on this machine already: in complete contents, in part
 * files of other jobs, and in the content itself, where equal pieces are fetched once.
 *
 *   planned: a manifest on this machine has the digest  ->  read there  ->  digested again  ->  stored
 *   a copy of a missing piece:  waits until that is stored, is read from there  ->  stored
 *
 * Nothing is believed: what is read is verified like a piece that was received, and what cannot be
 * read or does not match is reported corrupt, so that it is fetched. One piece per turn of the
 * thread, and none while a sync runs, so that no more waits for a sync than the scheduler allows.
 *
 * Cost: a look-up for every piece of at most `reuseManifestBytesMax` of manifests when a content is
 * opened, the newest first; then a read, a digest and a write per piece. Called by `DiskStore`.
 */
import { dirname, join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { DIGEST_LENGTH, LIMITS, PieceSet } from "@shoal/core";
import type { Manifest, PieceIndex } from "@shoal/core";
import type { CommandLane } from "./command-lane.ts";
import { closeQuietly, readFully } from "./disk.ts";
import type { Disk } from "./disk.ts";
import type { PartContent } from "./part-content.ts";
import type { PieceClaims } from "./piece-claims.ts";
import { openForReading } from "./read-piece.ts";
import { statComplete } from "./shared-content.ts";
import type { StoreContext } from "./store-context.ts";

/** Where a piece's bytes seem to be. */
interface Place {
  readonly piece: PieceIndex;
  readonly path: string;
  readonly position: number;
}

/** How a content stands that receives pieces. */
export interface Intake {
  readonly manifest: Manifest | undefined;
  readonly claims: Pick<PieceClaims, "isFull" | "isWritten">;
  /** The sync that runs, if one does. */
  readonly syncing: Promise<void> | undefined;
}

/** A file on this machine and what it should hold. */
export interface ReuseSource {
  readonly path: string;
  readonly manifest: Manifest;
  /** Absent: all pieces. */
  readonly have?: PieceSet;
}

export class PieceReuse {
  /** Bit map of the pieces it answers for. */
  readonly reusable: Uint8Array;
  readonly #context: StoreContext;
  readonly #content: PartContent;
  readonly #lane: CommandLane;
  readonly #path: string;
  readonly #places: Place[];
  /** Missing pieces that have the same bytes as one that is missing, too. */
  readonly #copies: ReadonlyMap<PieceIndex, readonly PieceIndex[]>;
  #isRunning = false;

  private constructor(
    context: StoreContext,
    parts: { content: PartContent; lane: CommandLane; path: string; found: Findings },
  ) {
    const { content, lane, path, found } = parts;
    this.#context = context;
    this.#content = content;
    this.#lane = lane;
    this.#path = path;
    this.#places = found.places;
    this.#copies = found.copies;
    const set = new PieceSet(content.layout.pieceCount);
    for (const { piece } of found.places) set.add(piece);
    for (const copies of found.copies.values()) for (const piece of copies) set.add(piece);
    this.reusable = set.toBytes();
  }

  /** `undefined` when there is nothing to reuse, or nothing that says what is. */
  static plan(
    context: StoreContext,
    { content, lane }: { readonly content: PartContent; readonly lane: CommandLane },
  ): PieceReuse | undefined {
    const { intake, record } = content;
    if (intake?.manifest === undefined || intake.claims.isFull) return undefined;
    const { manifest } = intake;
    const path = join(dirname(record.destination), record.partName);
    const have = PieceSet.fromBytes(manifest.layout.pieceCount, content.have);
    if (have === undefined) return undefined;
    const finder = new Finder(context.disk, manifest, have);
    finder.look({ path, manifest, have });
    const isSmall = manifest.layout.contentLength <= LIMITS.smallFileLengthMax;
    let sourcesLeft = isSmall ? LIMITS.reuseSourcesOfSmallMax : Infinity;
    for (const source of context.tables.reuseSources(record)) {
      if (finder.isDone || sourcesLeft-- <= 0) break;
      finder.look(source);
    }
    const found = finder.findings();
    if (found.places.length === 0 && found.copies.size === 0) return undefined;
    return new PieceReuse(context, { content, lane, path, found });
  }

  /** Stores a piece that was received, and then those that are equal to it. */
  async store(piece: PieceIndex, bytes: Uint8Array): Promise<void> {
    await this.#content.store(piece, bytes);
    this.#reuseFor(piece);
  }

  /** Begins to store what was found. Ends when all is done, or when the content is closed. */
  start(): void {
    if (this.#isRunning || this.#places.length === 0) return;
    this.#isRunning = true;
    void this.#run();
  }

  #reuseFor(stored: PieceIndex): void {
    const copies = this.#copies.get(stored);
    if (copies === undefined || this.#content.intake?.claims.isWritten(stored) !== true) return;
    const position = this.#content.layout.start(stored);
    for (const piece of copies) this.#places.push({ piece, path: this.#path, position });
    this.start();
  }

  async #run(): Promise<void> {
    const { layout } = this.#content;
    using reader = new PlaceReader(this.#context.disk);
    const buffer = new Uint8Array(layout.pieceLengthMax);
    for (let next = 0; next < this.#places.length; next++) {
      await this.#content.intake?.syncing;
      // A content that has failed or is closed has been answered for.
      if (this.#content.intake === undefined) return;
      const place = this.#places[next];
      if (place !== undefined) await this.#take(reader, place, buffer);
      await nextTurn();
    }
    this.#places.length = 0;
    this.#isRunning = false;
  }

  async #take(reader: PlaceReader, place: Place, buffer: Uint8Array): Promise<void> {
    const { piece } = place;
    const bytes = buffer.subarray(0, this.#content.layout.length(piece));
    if (reader.read(place, bytes)) {
      await this.#lane.run(() => this.#content.store(piece, bytes));
      this.#reuseFor(piece);
    } else {
      const { transferId } = this.#content;
      this.#context.emit({ type: "pieceCorrupt", transferId, piece });
    }
  }
}

interface Findings {
  readonly places: Place[];
  readonly copies: ReadonlyMap<PieceIndex, readonly PieceIndex[]>;
}

/** Looks missing pieces up in other manifests, by the first bytes of their digests. */
class Finder {
  readonly #disk: Disk;
  readonly #digests: Buffer;
  readonly #wanted = new Map<number, PieceIndex>();
  readonly #copies = new Map<PieceIndex, PieceIndex[]>();
  readonly #places: Place[] = [];

  constructor(disk: Disk, { pieceDigests, layout }: Manifest, have: PieceSet) {
    this.#disk = disk;
    this.#digests = asBuffer(pieceDigests);
    for (let piece = 0; piece < layout.pieceCount; piece++) {
      if (have.has(piece)) continue;
      const key = keyOf(this.#digests, piece);
      const first = this.#wanted.get(key);
      if (first === undefined) this.#wanted.set(key, piece);
      else if (this.#isSame(first, this.#digests, piece)) this.#addCopy(first, piece);
    }
  }

  /** Everything has a place already. */
  get isDone(): boolean {
    return this.#wanted.size === 0;
  }

  look({ path, manifest: { pieceDigests, layout }, have }: ReuseSource): void {
    const digests = asBuffer(pieceDigests);
    let isThere = have !== undefined;
    for (let piece = 0; piece < layout.pieceCount; piece++) {
      const key = keyOf(digests, piece);
      const wanted = this.#wanted.get(key);
      if (wanted === undefined || have?.has(piece) === false) continue;
      if (!this.#isSame(wanted, digests, piece)) continue;
      isThere ||= statComplete(this.#disk, path, layout.contentLength) !== undefined;
      if (!isThere) return;
      this.#wanted.delete(key);
      this.#places.push({ piece: wanted, path, position: layout.start(piece) });
    }
  }

  findings(): Findings {
    return { places: this.#places, copies: this.#copies };
  }

  #addCopy(first: PieceIndex, piece: PieceIndex): void {
    const copies = this.#copies.get(first);
    if (copies === undefined) this.#copies.set(first, [piece]);
    else copies.push(piece);
  }

  #isSame(wanted: PieceIndex, digests: Buffer, piece: PieceIndex): boolean {
    const [a, b] = [wanted * DIGEST_LENGTH, piece * DIGEST_LENGTH];
    return this.#digests.compare(digests, b, b + DIGEST_LENGTH, a, a + DIGEST_LENGTH) === 0;
  }
}

/** Reads from one file after the other; the last stays open until the next is needed. */
class PlaceReader implements Disposable {
  readonly #disk: Disk;
  #path: string | undefined;
  #fd: number | undefined;

  constructor(disk: Disk) {
    this.#disk = disk;
  }

  /** Fills `bytes`; false when they cannot be read. */
  read({ path, position }: Place, bytes: Uint8Array): boolean {
    try {
      if (path !== this.#path) this.#open(path);
      return this.#fd !== undefined && readFully(this.#disk, this.#fd, bytes, position);
    } catch {
      return false; // R-FS-10: what cannot be read is missing.
    }
  }

  [Symbol.dispose](): void {
    if (this.#fd !== undefined) closeQuietly(this.#disk, this.#fd);
    this.#fd = undefined;
  }

  #open(path: string): void {
    this[Symbol.dispose]();
    this.#path = path;
    const fd = openForReading(this.#disk, path);
    if (this.#disk.stat(fd).isFile()) this.#fd = fd;
    else closeQuietly(this.#disk, fd);
  }
}

/** The first six bytes, as many as a number holds. */
function keyOf(digests: Buffer, piece: PieceIndex): number {
  return digests.readUIntBE(piece * DIGEST_LENGTH, 6);
}

function asBuffer({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}
