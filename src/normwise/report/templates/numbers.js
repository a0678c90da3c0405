// Numbers: how they are written, and where the ticks of an axis go.

const finite = (value) => value !== null && Number.isFinite(value);
const inside = (value, [low, high]) => Math.min(Math.max(value, low), high);

function short(name, most = 30) { // a long name without its middle
  const letters = [...name];
  return letters.length <= most ? name : `${letters.slice(0, most - 12).join("")}…${letters.slice(-11).join("")}`;
}

function power(value) { // 10⁻⁵ or 2.4·10⁻⁵
  const [digits, exponent] = Math.abs(value).toExponential(1).split("e");
  const minus = value < 0 ? "−" : "", sign = (letter) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(letter)];
  const raised = String(Number(exponent)).replace(/./g, sign);
  return minus + (digits === "1.0" ? `10${raised}` : `${digits.replace(".0", "")}·10${raised}`);
}

function written(value, percent = false, digits = 4) {
  if (!finite(value)) return "–";
  if (percent) return `${(100 * value).toFixed(1)} %`;
  const size = Math.abs(value);
  if (size && (size < 1e-3 || size >= 1e6)) return power(value);
  return value.toLocaleString("en-US", { maximumSignificantDigits: size >= 1000 ? 6 : digits }).replace("-", "−");
}

function tickText(value, { percent, log, limits }) {
  if (percent) return `${Number((100 * value).toPrecision(6))} %`;
  return log && (limits[0] < 2e-4 || limits[1] > 2e4) ? power(value) : written(value);
}

// About `count` round numbers, at least `least` apart.
function roundTicks(low, high, count, least = 0) {
  const rough = Math.max((high - low) / count, least);
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = unit * [1, 2, 5, 10].find((times) => times * unit >= rough);
  const found = [];
  for (let place = Math.ceil(low / step); place <= Math.floor(high / step); place++) found.push(place * step + 0); // never -0
  return found;
}

// Powers of ten between two logarithms, as logarithms; also 2 and 5 times one where there are few.
function powerTicks(low, high) {
  const every = Math.max(1, Math.ceil((high - low) / 7));
  const times = high - low > 2.3 ? [1] : [1, 2, 5];
  const found = [];
  for (let place = Math.floor(low); place <= high; place++) {
    if (place % every === 0) found.push(...times.map((digit) => place + Math.log10(digit)));
  }
  return found.filter((at) => at >= low && at <= high);
}

// The clock of an arm: known steps and their seconds, straight lines between them, and its end after the last.
function secondsAt([steps, seconds], step) {
  const next = steps.findIndex((known) => known >= step);
  if (next <= 0) return seconds.at(next) ?? NaN;
  const part = (step - steps[next - 1]) / (steps[next] - steps[next - 1]);
  return seconds[next - 1] + part * (seconds[next] - seconds[next - 1]);
}
