/** A matrix as it is sent. */
import type { Matrix } from "../../core/matrix.ts";
import type { WireMatrix } from "../../protocol/methods/matrix.ts";
import { isoTime } from "./job.ts";

export function matrixView(matrix: Matrix): WireMatrix {
  return {
    id: matrix.id,
    class: matrix.class,
    cmd: matrix.cmd,
    cp_results: matrix.copyTo,
    keys: matrix.keys.map((key) => ({ name: key.name, values: key.values.slice() })),
    repeats: matrix.repeats,
    created: isoTime(matrix.created),
    counts: { ...matrix.counts },
  };
}
