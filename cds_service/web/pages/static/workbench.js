// The workbench in the browser: it holds the state, sends it to be evaluated, and puts the answer on the page.
// Whatever comes from a record is escaped by the server's templates or set as text; nothing here makes markup.
"use strict";

(() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
  const desk = $("#desk"), outcome = $("#outcome"), result = $("#result"), said = $("#said"), story = $("#story");
  const LATE = 400, PATIENCE = 20000;  // ms until the page says that it waits, and until it gives up
  const base = desk.dataset.base;
  const state = { story: story.value, knobs: {}, answers: "", request: null, profile: "generic" };
  const PAUSE = 120;  // ms in which nothing more is typed
  const WIDER = 24;  // px by which the result is wider, or narrower, before its pictures are drawn anew
  let last = null, turn = 0, running = null, soon = 0, open = new Map();

  // --- the link: a story and the knobs that were turned; never anything of a request that was pasted
  const link = () => state.request ? "" : chosen();
  function chosen() {  // as a form leads back to it: what was pasted, the form keeps
    const parts = new URLSearchParams();
    if (!state.request) parts.set("story", state.story);
    for (const [name, value] of Object.entries(state.knobs)) parts.set(name, value);
    if (state.profile !== "generic") parts.set("as", state.profile);
    if (state.answers) parts.set("answers", state.answers);
    return parts.toString();
  }
  function readLink() {
    if (!location.hash.includes("=")) return false;  // none, or a place on the page
    const parts = new URLSearchParams(location.hash.slice(1));
    Object.assign(state, { knobs: {}, request: null, answers: "", profile: "generic" });
    if (parts.has("answers")) state.story = "";  // answers without a story are those to a request that was pasted
    for (const [name, value] of parts) {
      if (name === "story") state.story = value;
      else if (name === "answers") state.answers = value;
      else if (name === "as") state.profile = value;
      else state.knobs[name] = value;
    }
    story.value = state.story;
    return true;
  }

  // --- one evaluation; a late answer never overwrites a newer one, and no answer stands for another state than its own
  async function post(path, body, signal = null) {
    const patience = AbortSignal.timeout(PATIENCE);
    let response, text;
    try {
      response = await fetch(base + path, {
        method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body),
        signal: signal ? AbortSignal.any([signal, patience]) : patience,
      });
      text = await response.text();
    } catch (error) {
      const late = error.name === "TimeoutError";
      throw new Error(late ? `The service did not answer within ${PATIENCE / 1000} seconds.` : "The service could not be reached.");
    }
    let answer = null;
    try { answer = JSON.parse(text); } catch { /* not from the service, or empty */ }
    if (!response.ok) {
      const words = answer?.issue?.[0]?.details?.text ?? `The service failed (HTTP ${response.status}).`;
      const passing = [408, 429].includes(response.status);  // too slow, too many: the same may be taken in a moment
      throw Object.assign(new Error(words), { refused: response.status >= 400 && response.status < 500 && !passing });
    }
    return answer;
  }
  // Whatever is on its way answers a state that no longer stands there.
  function supersede() {
    clearTimeout(soon);
    running?.abort();
    running = new AbortController();
    return ++turn;
  }
  const small = matchMedia("(max-width: 620px)");  // where panels have less room at their sides
  const width = () => Math.floor(outcome.clientWidth - (small.matches ? 33 : 42));
  async function evaluate(more = {}) {
    const mine = supersede(), { signal } = running, started = performance.now();
    const asked = { ...state, width: width(), ...more };
    outcome.setAttribute("aria-busy", "true");
    const waiting = setTimeout(() => {
      if (mine !== turn) return;
      outcome.classList.add("late");
      $("#failed").hidden = true;
      jump.textContent = "Evaluating";
      tell(`Evaluating.${result.hidden ? "" : " What stands below is the answer to what was chosen before."}`, "waits");
    }, LATE);
    let answer;
    try {
      answer = await post("/workbench/evaluate", asked, signal);
      if (!answer?.html) throw new Error("The answer could not be read.");
    } catch (error) {
      if (mine === turn) fail(error.message, error.refused ? null : () => evaluate(more));
      return false;
    } finally {
      clearTimeout(waiting);
      if (mine === turn) rest();
    }
    if (mine !== turn) return false;
    show(answer, asked);
    document.documentElement.dataset.ms = (performance.now() - started).toFixed(1);
    document.documentElement.dataset.turn = mine;
    if (Math.abs(asked.width - width()) >= WIDER) redraw();
    return true;
  }
  function rest() {
    outcome.setAttribute("aria-busy", "false");
    outcome.classList.remove("late");
  }
  // Another width changes the pictures and nothing else: what was dismissed, picked or focused stays as it is.
  async function redraw() {
    const mine = turn;
    let answer;
    try {
      answer = await post("/workbench/evaluate", { ...state, width: width() });
    } catch {
      return;  // the pictures that stand there are no less right
    }
    const fresh = document.createElement("template"), old = $$(".dose", result);
    fresh.innerHTML = answer?.html ?? "";
    const drawn = $$(".dose", fresh.content);
    const stands = mine === turn && outcome.getAttribute("aria-busy") === "false";
    if (stands && drawn.length === old.length) old.forEach((one, index) => one.replaceWith(drawn[index]));
  }
  // On a small screen the verdict is far below the knobs: a bar at the lower edge says it, and leads there.
  const jump = $("#jump");
  function tell(words, kind = "") {
    said.textContent = words;
    said.className = kind || "away";
    if (kind === "failed") bring(said);
  }
  // A message is brought into view, unless the bar of a small screen says that there is one.
  function bring(message) {
    if (getComputedStyle(jump).display === "none") message.scrollIntoView({ block: "nearest" });
  }
  // What is on the page answers an older state: it is taken away, so that it is not read as the answer to this one.
  function fail(words, retry = null) {
    tell("");
    $("#why").textContent = words;
    $("#again").hidden = !retry;
    $("#again").onclick = retry;
    $("#failed").hidden = false;
    jump.textContent = "Not evaluated";
    result.hidden = true;
    bring($("#failed"));
  }
  function uncover() {
    $("#failed").hidden = true;
    result.hidden = false;
  }
  function show(answer, asked) {
    last = answer;
    state.request ??= answer.own;
    state.knobs = answer.turned;
    state.answers = answer.answers;
    state.profile = answer.profile;
    result.innerHTML = answer.html;
    for (const one of $$("details[data-key]", result)) if (open.has(one.dataset.key)) one.open = open.get(one.dataset.key);
    $("#case").innerHTML = answer.case;
    $(".case").hidden = !answer.case;  // nobody has told the case of a request that was pasted
    uncover();
    jump.textContent = answer.said;
    setKnobs(answer.knobs, answer.turned);
    name();
    raw();
    for (const one of $$("fieldset", desk)) one.disabled = !answer.judged;  // there is no order that they could turn
    const left = [];
    if (answer.unused.length) left.push(`Not used: ${answer.unused.join(", ")}.`);
    if (asked.answers && !answer.answers) left.push("The answers to the form are no longer kept; what stands below is without them.");
    tell([...left, answer.said].join(" "), left.length ? "failed" : "");
    history.replaceState(null, "", link() ? `#${link()}` : location.pathname);
    $("#share").disabled = Boolean(state.request);
  }
  function raw() {
    for (const name of ["request", "response"]) {
      const place = $(`#raw-${name}`), box = place?.closest("details");
      if (!place) continue;
      const fill = () => { if (box.open && last) place.textContent = JSON.stringify(last[name], null, 2); };
      box.addEventListener("toggle", fill);
      fill();
    }
  }

  // --- knobs
  function setKnobs(values, turned) {
    for (const box of $$("[data-knob]", desk)) {
      const name = box.dataset.knob, value = values[name] ?? "";
      box.classList.toggle("turned", name in turned);
      if (box.classList.contains("many")) {
        for (const check of $$("input", box)) check.checked = value.split(",").includes(check.value);
        continue;
      }
      const range = $("input[type=range]", box);
      if (range) {
        const [least, most, step] = JSON.parse(range.dataset.spans)[values[`${name}_unit`]];
        Object.assign(range, { min: least, max: most, step });
        range.classList.toggle("blank", value === "");
      }
      for (const control of $$("input, select", box)) {
        mark(control, "");
        if (control === document.activeElement && isNumber(control) && same(control.value, value)) continue;
        if (control.tagName === "SELECT" && ![...control.options].some((o) => o.value === value)) {
          control.add(new Option(value, value));
        }
        if (control.type !== "range" || value !== "") control.value = value;
      }
    }
    $("#k-tremelimumab").disabled = !(values.companions ?? "").split(",").includes("tremelimumab");
    $("#reset").hidden = !Object.keys(turned).length && !state.answers;
  }
  const named = (box) => $("label, .label", box).firstChild.textContent.trim();
  // Paper has neither the list of stories nor the knobs: a line above the result names them.
  function name() {
    const turned = $$(".knob.turned", desk).map((box) => {
      const many = box.classList.contains("many"), picked = $$("input:checked", box).map((check) => check.parentElement.textContent.trim());
      const value = many ? picked.join(", ") || "none" : $("select", box)?.selectedOptions[0]?.textContent ?? $("input", box).value;
      const unit = $(`#k-${box.dataset.knob}_unit`, desk)?.selectedOptions[0].textContent ?? $("[data-unit]", box)?.textContent;
      return `${named(box)}: ${value ? `${value} ${unit ?? ""}`.trim() : "open"}`;
    });
    const as = $("input[name=profile]:checked", result), title = document.createElement("b");
    title.textContent = state.request ? "A request of your own" : `Story: ${story.selectedOptions[0]?.textContent}`;
    const rest = [
      ...(turned.length ? [`Changed: ${turned.join("; ")}.`] : []),
      ...(state.answers ? ["With answers to the form."] : []),
      ...(state.profile !== "generic" && as ? [`Cards as ${as.nextElementSibling.textContent} gets them.`] : []),
    ];
    $("#printed").replaceChildren(title, ...(rest.length ? [document.createElement("br"), rest.join(" ")] : []));
  }
  // --- numbers: as text, because a browser that knows commas would make 625 of 62,5 without a word
  const isNumber = (control) => "least" in control.dataset;
  const same = (one, other) => one.trim() === other || (one.trim() !== "" && other !== "" && Number(one) === Number(other));
  function wrong(control) {  // what is wrong with a number, if anything
    const value = control.value.trim(), { least, most } = control.dataset;
    if (!isNumber(control) || value === "") return "";
    if (value.includes(",")) return "write a point before decimals, as in 62.5, and no commas.";
    if (!/^(\d{1,12}(\.\d{0,12})?|\.\d{1,12})$/.test(value)) return "write a number alone, such as 62.5.";
    if ("whole" in control.dataset && !/^\d+$/.test(value)) return "write a whole number.";
    if (Number(value) < Number(least) || Number(value) > Number(most)) return `write a number from ${least} to ${most}.`;
    return "";
  }
  function mark(control, words) {
    for (const [name, value] of [["aria-invalid", "true"], ["aria-describedby", "why"]]) {
      if (words) control.setAttribute(name, value);
      else control.removeAttribute(name);
    }
  }
  function knobOf(control) {
    const box = control.closest("[data-knob]");
    if (!box) return null;
    if (box.classList.contains("many")) {
      return [box.dataset.knob, $$("input:checked", box).map((check) => check.value).join(",")];
    }
    for (const twin of $$("input", box)) {
      if (twin === control) continue;
      if (control.value.trim() !== "" || twin.type !== "range") twin.value = control.value;
      mark(twin, "");
    }
    $("input[type=range]", box)?.classList.toggle("blank", control.value.trim() === "");
    return [box.dataset.knob, control.value.trim()];
  }
  // What contradicts the knob that was turned is turned no longer: a weight is recorded, and what is not has no value.
  function turnKnob(name, value) {
    state.knobs[name] = value;
    const over = [];
    if (name === "weight" || name === "weight_unit") over.push("weight_state");
    if (name === "weight_state" && value !== "recorded") over.push("weight", "weight_unit");
    if (name === "companions" && !value.split(",").includes("tremelimumab")) over.push("tremelimumab");
    for (const one of over) delete state.knobs[one];
  }
  desk.addEventListener("input", (event) => {
    const control = event.target;
    if (!control.closest("[data-knob]")) return;
    const words = wrong(control);
    mark(control, words);
    if (words) {
      supersede();
      rest();
      return fail(`${named(control.closest("[data-knob]"))}: ${words}`);
    }
    turnKnob(...knobOf(control));
    if (!isNumber(control)) return void evaluate();
    supersede();
    outcome.setAttribute("aria-busy", "true");
    soon = setTimeout(evaluate, PAUSE);
  });
  desk.addEventListener("submit", (event) => event.preventDefault());
  story.addEventListener("change", () => {
    Object.assign(state, { story: story.value, knobs: {}, answers: "", request: null });
    open = new Map([...open].filter(([key]) => key.startsWith("raw")));
    evaluate();
  });
  $("#reset").addEventListener("click", () => {
    Object.assign(state, { knobs: {}, answers: "" });
    evaluate();
    story.focus();
  });

  // --- the result: suggestions, dismissals, the form, profiles, copies
  result.addEventListener("click", (event) => {  // what somebody folds stays folded, and nothing else does
    const box = event.target.closest("summary")?.parentElement;
    if (box?.dataset.key) open.set(box.dataset.key, !box.open);
  });
  result.addEventListener("click", async (event) => {
    const target = event.target.closest("button, a");
    if (!target) return;
    const card = target.closest("[data-card]");
    if (target.dataset.accept) {
      await accept(card, target.dataset.accept);
    } else if ("dismiss" in target.dataset) {
      const picked = $("[data-reason]", card)?.selectedOptions[0];
      const override = { outcome: "overridden" };
      if (picked?.value) override.overrideReason = { reason: { code: picked.value, system: picked.dataset.system } };
      press(card, false);
      const mine = turn, trouble = await feedback(card.dataset.card, override);
      if (mine === turn) dismissed(card);
      const done = mine === turn ? "Card dismissed" : "The card that stood there before was dismissed";
      const sent = "feedback" in desk.dataset ? `${done}; feedback was sent.` : `${done}.`;
      tell(trouble ? `${done}. ${trouble}` : sent, trouble ? "failed" : "");
    } else if (leadsToForm(target)) {
      event.preventDefault();
      await form(target, apart(event) ? window.open("", "_blank") : null);
    } else if (target.dataset.copy) {
      await copy(JSON.stringify(last[target.dataset.copy], null, 2), target);
    }
  });
  // As with any link: with the middle button or a key held down the form opens beside the workbench, which stays.
  const leadsToForm = (target) => "order" in target.dataset;
  const apart = (event) => event.button === 1 || event.ctrlKey || event.metaKey || event.shiftKey;
  result.addEventListener("auxclick", async (event) => {
    const target = event.target.closest("a");
    if (event.button !== 1 || !target || !leadsToForm(target)) return;
    event.preventDefault();
    await form(target, window.open("", "_blank"));
  });
  result.addEventListener("change", (event) => {
    if (event.target.name !== "profile") return;
    state.profile = event.target.value;
    evaluate().then(() => $(`input[name=profile][value=${state.profile}]`)?.focus());
  });
  async function feedback(card, members) {  // what went wrong, if anything
    if (!("feedback" in desk.dataset)) return "";  // outside demo mode it would count among that of prescribers
    const entry = { card, outcomeTimestamp: new Date().toISOString(), ...members };
    try {
      await post(`/cds-services/${last.service}/feedback`, { feedback: [entry] });
    } catch (error) {
      return `Feedback was not sent: ${error.message}`;
    }
    return "";
  }
  const press = (card, may) => { for (const button of $$("button", card)) button.disabled = !may; };  // once is enough
  function dismissed(card) {
    const place = card.closest(".cards"), head = $("h3", place);
    card.remove();
    const left = $$("[data-card]", place).length, note = document.createElement("p");
    note.className = "note";
    note.textContent = "Dismissed. The finding stands.";
    if (!$(".note", place)) place.append(note);
    last.said = last.said.replace(/\d+ cards?\.$/, left ? `${left} card${left > 1 ? "s" : ""}.` : "no card left.");
    jump.textContent = last.said;
    head.setAttribute("tabindex", "-1");
    head.focus();
  }
  async function accept(card, suggestion) {
    const offered = last.response.cards.flatMap((one) => one.suggestions ?? []).find((one) => one.uuid === suggestion);
    const update = offered?.actions.find((action) => action.type === "update");
    if (!update) return;
    press(card, false);
    const trouble = await feedback(card.dataset.card, { outcome: "accepted", acceptedSuggestions: [{ id: suggestion }] });
    if (!await evaluate({ taken: update.resource })) return press(card, true);
    if (trouble) tell(`${trouble} ${last.said}`, "failed");
    $("#headline").setAttribute("tabindex", "-1");
    $("#headline").focus();
  }
  async function form({ dataset: { fact, order } }, tab = null) {  // in a tab of its own, if there is one
    try {
      const answer = await post("/workbench/form", { ...state, order: Number(order), back: chosen() });
      if (!answer?.url) throw new Error("The answer could not be read.");
      (tab ?? window).location.assign(answer.url + (fact ? `#q-${fact}` : ""));
    } catch (error) {
      tab?.close();
      tell(`The form could not be opened: ${error.message}`, "failed");
      said.scrollIntoView({ block: "nearest" });  // it was asked for down there, on a small screen too
    }
  }
  async function copy(text, button) {
    const before = button.dataset.before ??= button.textContent;  // pressed again, it still says what it said at first
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Not allowed to copy";
    }
    setTimeout(() => { button.textContent = before; }, 1500);
  }
  $("#share").addEventListener("click", (event) => {
    history.replaceState(null, "", `#${link()}`);
    copy(location.href, event.currentTarget);
  });

  // --- a request of one's own
  const paster = $("#paster");
  $("#paste").addEventListener("click", () => {
    $("#paste-trouble").textContent = "";
    paster.showModal();
  });
  const go = $("#paste-go");
  paster.addEventListener("close", () => {  // cancelled while it is evaluated
    if (!go.disabled) return;
    supersede();
    rest();
  });
  go.addEventListener("click", async (event) => {
    event.preventDefault();
    const trouble = $("#paste-trouble");
    let request;
    trouble.textContent = "";
    try {
      request = JSON.parse($("#pasted").value);
    } catch (error) {
      trouble.textContent = `This is not JSON: ${error.message}`;
      return;
    }
    if (typeof request?.hook !== "string") {
      trouble.textContent = "This is no CDS Hooks request: that is a JSON object with a member “hook”.";
      return;
    }
    const before = { ...state }, covered = result.hidden;
    Object.assign(state, { request, story: "", knobs: {}, answers: "" });
    go.disabled = true;
    go.textContent = "Evaluating";
    const done = await evaluate();
    go.disabled = false;
    go.textContent = "Evaluate";
    if (done) {
      story.value = "";
      paster.close();
      return;
    }
    Object.assign(state, before);
    if (paster.open) {
      trouble.textContent = $("#why").textContent;
      go.focus();  // a button that is disabled loses it
    } else {
      tell(last?.said ?? "");
    }
    if (covered) {
      $("#failed").hidden = false;
    } else {
      uncover();
      jump.textContent = last?.said ?? "";
    }
  });

  // --- colours, width, links that change
  const theme = $("#theme");
  theme.value = document.documentElement.dataset.theme ?? "";
  theme.addEventListener("change", () => {
    document.documentElement.dataset.theme = theme.value;
    document.cookie = `theme=${theme.value}; path=${base}/; max-age=31536000; samesite=lax`;
  });
  let wide = outcome.clientWidth, waiting = 0;
  new ResizeObserver(() => {
    if (Math.abs(outcome.clientWidth - wide) < WIDER) return;
    wide = outcome.clientWidth;
    clearTimeout(waiting);
    waiting = setTimeout(() => { if (!result.hidden) redraw(); }, PAUSE);
  }).observe(outcome);
  new IntersectionObserver(([seen]) => jump.classList.toggle("there", seen.isIntersecting)).observe(outcome);
  for (const one of [$(".skip"), jump]) {  // the address holds the state: a way within the page leaves it alone
    one.addEventListener("click", (event) => {
      event.preventDefault();
      const place = $(one.hash);
      place.scrollIntoView();
      if (one === jump) jump.classList.add("there");
      place.focus({ preventScroll: true });
    });
  }
  addEventListener("hashchange", () => { if (readLink()) evaluate(); });
  for (const one of [...$$("[disabled]", desk), theme]) one.disabled = false;  // without this script they would do nothing
  if (readLink()) {  // what is served is the first story, and a link may lead to another
    result.hidden = true;
    jump.textContent = "Evaluating";
  }
  evaluate();
})();
