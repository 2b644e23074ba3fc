/**
 * How to start a Node process that runs an agent. Network and file buffers live outside V8's heap
 * and are freed only when the small objects that own them are collected; with V8's usual young
 * generation of 16 MiB that is seldom, and a fast download holds some 70 MiB of dead buffers.
 *
 * Measured with 512 MiB from a peer: peak memory 273 MiB at 188 MiB/s without the flag, 200 MiB at
 * 242 MiB/s with it. V8 takes it only at the start of a process: `shoal` has it in its first line.
 */
export const AGENT_NODE_FLAGS: readonly string[] = ["--max-semi-space-size=2"];
