import { bitsChecklist } from "../contract/bits-checklist.ts";
import { bitsInput } from "../contract/bits-input.ts";
import { inProcess, remote } from "../contract/bits-site.ts";

for (const [name, connect] of [["in process", inProcess] as const, ["remote", remote] as const]) {
  bitsChecklist(name, connect);
  bitsInput(name, connect);
}
