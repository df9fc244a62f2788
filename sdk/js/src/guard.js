// What authors give back by mistake, told in a way that helps.

/** What a function of the plugin returned. Plugins are synchronous: a promise would never be waited for. */
export function asAnswer(name, answer) {
  if (answer !== null && typeof answer === "object" && typeof answer.then === "function") {
    throw new TypeError(
      `${name} returned a promise; plugins are synchronous: leave out \`async\` and \`await\` (http.send waits by itself)`,
    );
  }
  return answer;
}
