/**
 * Draws what a terminal shows as SVG: `tmux capture-pane -p -e | bun scripts/terminal-picture.ts >docs/job-ls.svg`.
 * Knows the few escapes that our output uses: bold, dim, underline and the eight colours.
 */

interface Style {
  readonly bold: boolean;
  readonly dim: boolean;
  readonly underline: boolean;
  readonly colour: string;
}

interface Span {
  readonly text: string;
  readonly style: Style;
}

const PLAIN: Style = { bold: false, dim: false, underline: false, colour: "#d0d0d0" };
const COLOURS = ["#484848", "#ff6b68", "#7ec87e", "#e5c06b", "#6ca8ff", "#d58fe0", "#62c8c8", "#d0d0d0"];
const CELL_WIDTH = 8.4;
const LINE_HEIGHT = 19;
const MARGIN = 16;

/** One SVG of all lines, as wide as the longest. */
export function terminalPicture(screen: string): string {
  const lines = screen.replace(/\n+$/, "").split("\n");
  let style = PLAIN;
  const drawn = lines.map((line, index) => {
    const { spans, after } = parseLine(line, style);
    style = after;
    return drawLine(spans, MARGIN + (index + 1) * LINE_HEIGHT - 5);
  });
  const columns = Math.max(...lines.map((line) => Bun.stringWidth(line)));
  const width = Math.ceil(columns * CELL_WIDTH + 2 * MARGIN);
  const height = lines.length * LINE_HEIGHT + 2 * MARGIN;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">`,
    "<title>A terminal</title>",
    `<rect width="100%" height="100%" rx="8" fill="#1e1e1e"/>`,
    `<g font-family="ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace" font-size="14" xml:space="preserve">`,
    ...drawn,
    "</g>",
    "</svg>",
    "",
  ].join("\n");
}

function parseLine(line: string, before: Style): { readonly spans: readonly Span[]; readonly after: Style } {
  const spans: Span[] = [];
  let style = before;
  for (const piece of line.split("\u001b[")) {
    const code = spans.length === 0 && !line.startsWith("\u001b[") ? null : /^([0-9;]*)m/.exec(piece);
    const text = code === null ? piece : piece.slice(code[0].length);
    if (code !== null) style = (code[1] ?? "").split(";").map(Number).reduce(styled, style);
    spans.push({ text, style });
  }
  return { spans: spans.filter((span) => span.text !== ""), after: style };
}

function styled(style: Style, code: number): Style {
  if (code === 0) return PLAIN;
  if (code === 1) return { ...style, bold: true };
  if (code === 2) return { ...style, dim: true };
  if (code === 4) return { ...style, underline: true };
  if (code === 22) return { ...style, bold: false, dim: false };
  if (code === 24) return { ...style, underline: false };
  if (code === 39) return { ...style, colour: PLAIN.colour };
  const colour = COLOURS[code - 30] ?? COLOURS[code - 90];
  return colour === undefined ? style : { ...style, colour };
}

function drawLine(spans: readonly Span[], y: number): string {
  let column = 0;
  const texts = spans.map(({ text, style }) => {
    const x = MARGIN + column * CELL_WIDTH;
    const width = Bun.stringWidth(text);
    column += width;
    if (text.trim() === "") return "";
    const attributes = [
      `fill="${style.colour}"`,
      style.bold ? 'font-weight="bold"' : "",
      style.dim ? 'opacity="0.6"' : "",
      style.underline ? 'text-decoration="underline"' : "",
    ];
    const length = `textLength="${(width * CELL_WIDTH).toFixed(1)}" lengthAdjust="spacingAndGlyphs"`;
    return `<text x="${x.toFixed(1)}" y="${y}" ${length} ${attributes.filter(Boolean).join(" ")}>${Bun.escapeHTML(text)}</text>`;
  });
  return texts.filter(Boolean).join("\n");
}

if (import.meta.main) process.stdout.write(terminalPicture(await Bun.stdin.text()));
