/** The system that this one grew from. */
import type { Absent, Subject } from "../measure.ts";

export async function oldSystemListing(_side: number): Promise<Subject | Absent> {
  return { name: "old j job matrix ls", absent: "not driven yet" };
}

export async function oldSystemJobs(_jobs: number): Promise<Subject | Absent> {
  return { name: "the old system", absent: "not driven yet" };
}
