/** Breaks lines between words where a terminal would break them anywhere; indents what follows. */
import stringWidth from "string-width";

/** Room that a line of its own keeps, however far in it begins. */
const ROOM_MIN = 20;

/** `text` in lines of at most `width` columns, where its words allow it. */
export function wrapLines(text: string, width: number): string {
  if (width === Infinity) return text;
  return text
    .split("\n")
    .map((line) => wrapLine(line, width))
    .join("\n");
}

function wrapLine(line: string, width: number): string {
  if (stringWidth(line) <= width) return line;
  const [indent = ""] = /^ */.exec(line) ?? [];
  const deeper = indent.length + 2 + ROOM_MIN <= width ? `${indent}  ` : "";
  const lines: string[] = [];
  let current = indent;
  for (const word of line.slice(indent.length).split(" ")) {
    const isFirst = current.trim() === "";
    const next = isFirst ? `${current}${word}` : `${current} ${word}`;
    if (isFirst || stringWidth(next) <= width) current = next;
    else {
      lines.push(current);
      current = `${deeper}${word}`;
    }
  }
  return [...lines, current].join("\n");
}
