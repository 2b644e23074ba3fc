/** The tests of connections once more, between peers that know no TLS. */
import { speakNoise } from "./test-swarm.ts";

speakNoise();
await import("./group.test.ts");
await import("./swarm-connect.test.ts");
await import("./swarm-hostile.test.ts");
await import("./swarm-limits.test.ts");
await import("./swarm-transfer.test.ts");
