/** The version of this program, from package.json: the one place where it is written. */
import { version } from "../../package.json";

export const VERSION: string = version;
