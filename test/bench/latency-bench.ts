import type { Figure } from "./measure.ts";
export async function benchLatency(o: unknown): Promise<Figure[]> {
  return [];
}
