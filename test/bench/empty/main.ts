/** Prints a word and ends; with `idle`, prints it and stays until it is killed. */
console.log("ready");
if (process.argv[2] === "idle") setInterval(() => undefined, 2 ** 30);
