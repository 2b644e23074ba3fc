/**
 * How to start a Node process that runs an agent. Network and file buffers live outside V8's heap
 * and are freed only when the small objects that own them are collected; V8's usual young
 * generation is large enough that this is seldom, and dead buffers pile up meanwhile.
 *
 * Measured on a shared machine, 512 MiB and 2 GiB files: peaks of 258 to 299 MiB without the flag,
 * 199 to 261 MiB with it. An agent does little in JavaScript, so that compiling it to the last costs
 * more than it gains, and V8's helpers take the processors from the workers that verify pieces: in
 * its efficiency mode both ends of a transfer take a twentieth less processor time.
 *
 * The collector itself lets a daemon give back what its start has left behind
 * (`daemon/settle-memory.ts`): 5 of 128 MiB as packages have it, 14 of 161 MiB from sources. V8 takes
 * flags only at the start of a process: `shoal` has them in its first line.
 */
export const AGENT_NODE_FLAGS: readonly string[] = [
  "--max-semi-space-size=2",
  "--efficiency-mode",
  "--expose-gc",
];
