/** What an agent takes its uploads' speed for. */
import { MiB } from "@shoal/core";
import { describe, expect, test } from "vitest";
import { UploadSpeed } from "../../src/schedule/upload-speed.ts";

/** Uploads of 1 MiB to one peer, one after the other, each for so long. */
function send(speed: UploadSpeed, count: number, eachMs: number, from = 0): number {
  let now = from;
  for (let i = 0; i < count; i++) {
    speed.begun("a", now);
    now += eachMs;
    speed.ended("a", MiB, now);
  }
  return now;
}

describe("the speed of uploads", () => {
  test("is not guessed before it is measured", () => {
    expect(new UploadSpeed().expectedMs(1_000 * MiB)).toBe(0);
  });

  test("says how long bytes will take", () => {
    const speed = new UploadSpeed();
    speed.begun("b", 0);
    send(speed, 20, 100);
    expect(speed.expectedMs(10 * MiB)).toBeCloseTo(1_000, -2);
  });

  test("is not that of peers that read slowly beside others", () => {
    const speed = new UploadSpeed();
    speed.begun("b", 0);
    let now = send(speed, 20, 100);
    for (let i = 0; i < 60; i++) {
      now += 1_000;
      speed.begun("a", now);
      speed.ended("a", 1_000, now);
    }
    expect(speed.expectedMs(10 * MiB)).toBeLessThan(4_000);
  });

  test("is not that of one peer that reads slowly while nobody else is served (R-PEER-27)", () => {
    const speed = new UploadSpeed();
    speed.begun("slow", 0);
    speed.begun("slow", 0);
    for (let now = 16_000; now < 1_000_000; now += 16_000) {
      speed.ended("slow", MiB, now);
      speed.begun("slow", now);
      send(speed, 4, 100, now);
    }
    expect(speed.expectedMs(MiB)).toBeGreaterThan(0);
    expect(speed.expectedMs(MiB)).toBeLessThan(120);
  });

  test("becomes less when the link does", () => {
    const speed = new UploadSpeed();
    speed.begun("b", 0);
    const now = send(speed, 20, 100);
    expect(speed.expectedMs(MiB)).toBeLessThan(200);
    send(speed, 400, 1_100, now);
    expect(speed.expectedMs(MiB)).toBeGreaterThan(900);
  });
});
