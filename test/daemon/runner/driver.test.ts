import { runnerBattery } from "../../contract/runner.ts";
import { openHostRunner } from "./host-runner-harness.ts";

runnerBattery("driver", () => openHostRunner("driver"));
