import { HRESULTS, MiB } from "@shoal/core";
import { beforeEach, expect, test } from "vitest";
import { createDOManager, DODownloadProperty, DODownloadState } from "../../src/compat.ts";
import type { CallbackClock, DO_DOWNLOAD_STATUS, IDODownload } from "../../src/compat.ts";
import { LocalJobService } from "../../src/index.ts";
import { LiteralHost } from "../literal-host.ts";

const p = DODownloadProperty;

/** Moved by hand. */
class HandClock implements CallbackClock {
  at = 0;
  #timers: Array<{ readonly at: number; readonly wake: () => void }> = [];

  get timerCount(): number {
    return this.#timers.length;
  }

  now(): number {
    return this.at;
  }

  schedule(delayMs: number, wake: () => void): () => void {
    const timer = { at: this.at + delayMs, wake };
    this.#timers.push(timer);
    return () => void (this.#timers = this.#timers.filter((other) => other !== timer));
  }

  pass(ms: number): void {
    this.at += ms;
    const due = this.#timers.filter(({ at }) => at <= this.at);
    this.#timers = this.#timers.filter(({ at }) => at > this.at);
    for (const { wake } of due) wake();
  }
}

let host: LiteralHost;
let clock: HandClock;
let download: IDODownload;
let heard: DO_DOWNLOAD_STATUS[];
/** Gives the next piece. */
let givePiece: () => void;

beforeEach(async () => {
  host = new LiteralHost();
  host.length = 20 * MiB;
  clock = new HandClock();
  heard = [];
  const service = new LocalJobService(host, { name: "local", isAdministrator: true });
  download = await createDOManager(service, { clock }).CreateDownload();
  await download.SetProperty(p.DODownloadProperty_Uri, "http://origin.test/f");
  await download.SetProperty(p.DODownloadProperty_LocalPath, "/nowhere");
  const pieces: Array<() => void> = [];
  givePiece = () => pieces.shift()?.();
  host.onOrigin = ({ command }) => {
    if (command.type === "probeOrigin") {
      const { requestId, transferId } = command;
      const found = { length: host.length, validator: { etag: '"1"' }, acceptsRanges: true };
      host.emit({ type: "originProbed", requestId, transferId, ...found });
    } else if (command.type === "fetchRange") {
      const { requestId, transferId, firstPiece, pieceCount } = command;
      for (let piece = firstPiece; piece < firstPiece + pieceCount; piece++) {
        const bufferId = piece + 1;
        const event = { type: "rangePiece", requestId, transferId, piece, bufferId } as const;
        pieces.push(() => host.emit(event));
      }
    }
  };
});

/** Lets everything that was begun come to its end: looks are promises, and nothing else waits. */
const settle = async (): Promise<void> => {
  for (let i = 0; i < 50; i++) await Promise.resolve();
};
const listen = (): Promise<void> =>
  download.SetProperty(p.DODownloadProperty_CallbackInterface, {
    OnStatusChange: (_download: IDODownload, status: DO_DOWNLOAD_STATUS) => heard.push(status),
  });
const states = (): readonly number[] => heard.map(({ State }) => State);

test("bytes are told once a second, a change of state at once, and no timer runs idle", async () => {
  await listen();
  await settle();
  expect([heard.length, clock.timerCount]).toEqual([0, 0]);
  await download.Start(null);
  await settle();
  expect(states()).toEqual([DODownloadState.DODownloadState_Transferring]);
  // The length has become known at once; like bytes, it is told a second after the last call.
  clock.pass(10_000);
  await settle();
  expect(heard.map(({ BytesTotal }) => BytesTotal)).toEqual([0n, BigInt(host.length)]);
  const before = heard.length;
  clock.pass(10_000);
  await settle();
  expect([heard.length, clock.timerCount]).toEqual([before, 0]);
  givePiece();
  await settle();
  clock.pass(100);
  await settle();
  expect(heard).toHaveLength(before + 1);
  for (let i = 0; i < 3; i++) {
    givePiece();
    await settle();
    clock.pass(200);
    await settle();
  }
  expect(heard).toHaveLength(before + 1);
  clock.pass(500);
  await settle();
  expect(heard).toHaveLength(before + 2);
  expect(clock.timerCount).toBe(0);
  givePiece();
  await settle();
  await download.Pause();
  await settle();
  expect(states().at(-1)).toBe(DODownloadState.DODownloadState_Paused);
  clock.pass(1_000);
  await settle();
  expect(clock.timerCount).toBe(0);
});

test("a zero of seconds means every change that is looked at", async () => {
  await download.SetProperty(p.DODownloadProperty_CallbackFreqSeconds, 0);
  await listen();
  await download.Start(null);
  await settle();
  const before = heard.length;
  for (let i = 1; i <= 5; i++) {
    clock.pass(100);
    givePiece();
    await settle();
    clock.pass(100);
    await settle();
  }
  expect(heard.length - before).toBeGreaterThanOrEqual(5);
});

test("a callback that is slow hears the latest status only, and is not called twice at once", async () => {
  const first = Promise.withResolvers<void>();
  let callsAtOnce = 0;
  const OnStatusChange = async (_: IDODownload, status: DO_DOWNLOAD_STATUS): Promise<void> => {
    expect(++callsAtOnce).toBe(1);
    heard.push(status);
    await first.promise;
    callsAtOnce--;
  };
  await download.SetProperty(p.DODownloadProperty_CallbackInterface, { OnStatusChange });
  await download.Start(null);
  await settle();
  await download.Pause();
  await download.Start(null);
  await download.Abort();
  await settle();
  expect(heard).toHaveLength(1);
  first.resolve();
  await settle();
  expect(states().at(-1)).toBe(DODownloadState.DODownloadState_Aborted);
  expect(heard).toHaveLength(2);
});

test("a callback that never answers is called again after five minutes, and not once removed", async () => {
  const OnStatusChange = (_: IDODownload, status: DO_DOWNLOAD_STATUS): Promise<void> => {
    heard.push(status);
    return new Promise<void>(() => {});
  };
  await download.SetProperty(p.DODownloadProperty_CallbackInterface, { OnStatusChange });
  await download.Start(null);
  await settle();
  await download.Pause();
  await settle();
  expect(heard).toHaveLength(1);
  clock.pass(300_000);
  await settle();
  expect(states().at(-1)).toBe(DODownloadState.DODownloadState_Paused);
  await download.SetProperty(p.DODownloadProperty_CallbackInterface, null);
  await settle();
  expect([heard.length, clock.timerCount]).toEqual([2, 0]);
});

test("an ended manager calls nobody, and its downloads go on", async () => {
  const service = new LocalJobService(host, { name: "local", isAdministrator: true });
  const manager = createDOManager(service, { clock });
  const [one] = await manager.EnumDownloads(null);
  await one?.SetProperty(p.DODownloadProperty_CallbackInterface, {
    OnStatusChange: (_: IDODownload, status: DO_DOWNLOAD_STATUS) => heard.push(status),
  });
  manager[Symbol.dispose]();
  await download.Start(null);
  await settle();
  expect(heard).toEqual([]);
  expect((await service.list())[0]?.hasStarted).toBe(true);
  await one?.SetProperty(p.DODownloadProperty_CallbackInterface, { OnStatusChange: () => {} });
  expect(clock.timerCount).toBe(0);
});

test("a stream of an ended manager is aborted, and its download fails", async () => {
  const service = new LocalJobService(host, { name: "local", isAdministrator: true });
  const manager = createDOManager(service, { clock });
  const one = await manager.CreateDownload();
  const ended = Promise.withResolvers<unknown>();
  const stream = new WritableStream<Uint8Array>({ abort: (reason) => ended.resolve(reason) });
  await one.SetProperty(p.DODownloadProperty_Uri, "http://origin.test/g");
  await one.SetProperty(p.DODownloadProperty_StreamInterface, stream);
  await one.Start(null);
  expect(stream.locked).toBe(true);
  manager[Symbol.dispose]();
  expect(await ended.promise).toBeInstanceOf(Error);
  expect(await one.GetStatus()).toMatchObject({
    State: DODownloadState.DODownloadState_Paused,
    Error: HRESULTS.E_ABORT,
  });
});
