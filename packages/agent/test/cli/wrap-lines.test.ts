import { expect, test } from "vitest";
import { wrapLines } from "../../src/cli/wrap-lines.ts";

test("breaks between words, and indents what follows", () => {
  const text = "short\n  came from the origin because no peer has it\n";
  expect(wrapLines(text, 26)).toBe("short\n  came from the origin\n    because no peer has it\n");
});

test("leaves words that are too long, and everything where nothing limits it", () => {
  const long = `  ${"x".repeat(40)} end`;
  expect(wrapLines(long, 30)).toBe(`  ${"x".repeat(40)}\n    end`);
  expect(wrapLines(long, Infinity)).toBe(long);
});
