import { runnerBattery } from "../../contract/runner.ts";
import { openHostRunner } from "./host-runner-harness.ts";

runnerBattery("local", () => openHostRunner("local"));
