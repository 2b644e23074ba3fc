import { integrityCheckContract } from "../contract/integrity-check.ts";

for (const way of ["in process", "remote"] as const) integrityCheckContract(way);
