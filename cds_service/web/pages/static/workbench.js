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
  let last = null, turn = 0, open = new Map(), dismissed = new Set();

  // --- the link: a story and the knobs that were turned; never anything of a request that was pasted
  function link() {
    const parts = new URLSearchParams();
    if (state.request) return "";
    parts.set("story", state.story);
    for (const [name, value] of Object.entries(state.knobs)) parts.set(name, value);
    if (state.profile !== "generic") parts.set("as", state.profile);
    if (state.answers) parts.set("answers", state.answers);
    return parts.toString();
  }
  function readLink() {
    if (!location.hash.includes("=")) return false;  // none, or a place on the page
    const parts = new URLSearchParams(location.hash.slice(1));
    Object.assign(state, { knobs: {}, request: null, answers: "", profile: "generic" });
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
  async function post(path, body) {
    let response, text;
    try {
      response = await fetch(base + path, {
        method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body),
        signal: AbortSignal.timeout(PATIENCE),
      });
      text = await response.text();
    } catch (error) {
      const late = error.name === "TimeoutError";
      throw new Error(late ? `The service did not answer within ${PATIENCE / 1000} seconds.` : "The service could not be reached.");
    }
    let answer = null;
    try { answer = JSON.parse(text); } catch { /* not from the service, or empty */ }
    if (!response.ok) throw new Error(answer?.issue?.[0]?.details?.text ?? `The service failed (HTTP ${response.status}).`);
    return answer;
  }
  async function evaluate(more = {}) {
    const mine = ++turn, started = performance.now();
    const asked = { ...state, width: Math.round(outcome.clientWidth - 42), ...more };
    outcome.setAttribute("aria-busy", "true");
    const waiting = setTimeout(() => {
      outcome.classList.add("late");
      $("#failed").hidden = true;
      jump.textContent = "Evaluating";
      tell(`Evaluating.${result.hidden ? "" : " What stands below is the answer to what was chosen before."}`, "waits");
    }, LATE);
    let answer;
    try {
      answer = await post("/workbench/evaluate", asked);
      if (!answer?.html) throw new Error("The answer could not be read.");
    } catch (error) {
      if (mine === turn) fail(error.message, () => evaluate(more));
      return false;
    } finally {
      clearTimeout(waiting);
      if (mine === turn) {
        outcome.setAttribute("aria-busy", "false");
        outcome.classList.remove("late");
      }
    }
    if (mine !== turn) return false;
    show(answer, asked);
    document.documentElement.dataset.ms = (performance.now() - started).toFixed(1);
    document.documentElement.dataset.turn = mine;
    return true;
  }
  // On a small screen the verdict is far below the knobs: a bar at the lower edge says it, and leads there.
  const jump = $("#jump");
  function tell(words, kind = "") {
    said.textContent = words;
    said.className = kind || "away";
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
  }
  function uncover() {
    $("#failed").hidden = true;
    result.hidden = false;
  }
  function show(answer, asked) {
    last = answer;
    state.knobs = answer.turned;
    state.answers = answer.answers;
    state.profile = answer.profile;
    dismissed.clear();
    result.innerHTML = answer.html;
    for (const one of $$("details[data-key]", result)) if (open.has(one.dataset.key)) one.open = open.get(one.dataset.key);
    if (answer.case) $("#case").innerHTML = answer.case;
    uncover();
    jump.textContent = answer.said;
    setKnobs(answer.knobs, answer.turned);
    name();
    raw();
    for (const one of $$("fieldset", desk)) one.disabled = !answer.judged;  // there is no order that they could turn
    const left = [];
    if (answer.unused.length) left.push(`Not used, because no knob takes it: ${answer.unused.join(", ")}.`);
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
      for (const control of $$("input, select", box)) {
        if (control === document.activeElement && control.type === "number") continue;
        if (control.tagName === "SELECT" && ![...control.options].some((o) => o.value === value)) {
          control.add(new Option(value, value));
        }
        if (control.type !== "range" || value !== "") control.value = value;
      }
    }
    $("#reset").hidden = !Object.keys(turned).length && !state.answers;
  }
  // Paper has neither the list of stories nor the knobs: a line above the result names them.
  function name() {
    const turned = $$(".knob.turned", desk).map((box) => {
      const many = box.classList.contains("many"), picked = $$("input:checked", box).map((check) => check.parentElement.textContent.trim());
      const value = many ? picked.join(", ") || "none" : $("select", box)?.selectedOptions[0]?.textContent ?? $("input", box).value;
      return `${$("label, .label", box).textContent.trim().replace(/\s+/g, " ")}: ${value || "open"}`;
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
  function knobOf(control) {
    const box = control.closest("[data-knob]");
    if (!box) return null;
    if (box.classList.contains("many")) {
      return [box.dataset.knob, $$("input:checked", box).map((check) => check.value).join(",")];
    }
    for (const twin of $$("input", box)) if (twin !== control) twin.value = control.value;
    return [box.dataset.knob, control.value];
  }
  desk.addEventListener("input", (event) => {
    const knob = knobOf(event.target);
    if (!knob) return;
    if (event.target.validity && !event.target.validity.valid) {
      ++turn;  // whatever is on its way answers a value that no longer stands there
      outcome.setAttribute("aria-busy", "false");
      outcome.classList.remove("late");
      return fail(`${event.target.labels[0].textContent.trim()}: ${event.target.validationMessage}`);
    }
    state.knobs[knob[0]] = knob[1];
    evaluate();
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
      await accept(card.dataset.card, target.dataset.accept);
    } else if ("dismiss" in target.dataset) {
      const picked = $("[data-reason]", card)?.selectedOptions[0];
      const override = { outcome: "overridden" };
      if (picked?.value) override.overrideReason = { reason: { code: picked.value, system: picked.dataset.system } };
      const trouble = await feedback(card.dataset.card, override);
      card.remove();
      const sent = "feedback" in desk.dataset ? "Card dismissed; feedback was sent." : "Card dismissed.";
      tell(trouble ? `Card dismissed. ${trouble}` : sent, trouble ? "failed" : "");
      $("h3", $(".cards")).setAttribute("tabindex", "-1");
      $("h3", $(".cards")).focus();
    } else if (leadsToForm(target)) {
      event.preventDefault();
      await form(target.dataset.fact, apart(event) ? window.open("", "_blank") : null);
    } else if (target.dataset.copy) {
      await copy(JSON.stringify(last[target.dataset.copy], null, 2), target);
    }
  });
  // As with any link: with the middle button or a key held down the form opens beside the workbench, which stays.
  const leadsToForm = (target) => target.id === "open-form" || "fact" in target.dataset || "form" in target.dataset;
  const apart = (event) => event.button === 1 || event.ctrlKey || event.metaKey || event.shiftKey;
  result.addEventListener("auxclick", async (event) => {
    const target = event.target.closest("a");
    if (event.button !== 1 || !target || !leadsToForm(target)) return;
    event.preventDefault();
    await form(target.dataset.fact, window.open("", "_blank"));
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
  async function accept(card, suggestion) {
    const offered = last.response.cards.flatMap((one) => one.suggestions ?? []).find((one) => one.uuid === suggestion);
    const update = offered?.actions.find((action) => action.type === "update");
    if (!update) return;
    const trouble = await feedback(card, { outcome: "accepted", acceptedSuggestions: [{ id: suggestion }] });
    if (!await evaluate({ taken: update.resource })) return;
    if (trouble) tell(`${trouble} ${last.said}`, "failed");
    $("#headline").setAttribute("tabindex", "-1");
    $("#headline").focus();
  }
  async function form(fact, tab = null) {  // in a tab of its own, if there is one
    try {
      const answer = await post("/workbench/form", { ...state, back: link() });
      (tab ?? window).location.assign(answer.url + (fact ? `#q-${fact}` : ""));
    } catch (error) {
      tab?.close();
      tell(`The form could not be opened: ${error.message}`, "failed");
    }
  }
  async function copy(text, button) {
    const before = button.textContent;
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
  $("#paste").addEventListener("click", () => paster.showModal());
  $("#paste-go").addEventListener("click", async (event) => {
    event.preventDefault();
    let request;
    try {
      request = JSON.parse($("#pasted").value);
    } catch (error) {
      $("#paste-trouble").textContent = `This is not JSON: ${error.message}`;
      return;
    }
    const before = { ...state }, covered = result.hidden;
    Object.assign(state, { request, story: "", knobs: {}, answers: "" });
    if (await evaluate()) {
      story.value = "";
      paster.close();
    } else {
      Object.assign(state, before);
      $("#paste-trouble").textContent = $("#why").textContent;
      if (!covered) {
        uncover();
        jump.textContent = last?.said ?? "";
      }
    }
  });

  // --- colours, width, links that change
  const theme = $("#theme");
  const paint = () => { document.documentElement.dataset.theme = theme.value; };
  try { theme.value = localStorage.getItem("theme") ?? ""; } catch { /* no storage, no memory */ }
  paint();
  theme.addEventListener("change", () => {
    paint();
    try { localStorage.setItem("theme", theme.value); } catch { /* as above */ }
  });
  let width = outcome.clientWidth, waiting = 0;
  new ResizeObserver(() => {
    if (Math.abs(outcome.clientWidth - width) < 24) return;
    width = outcome.clientWidth;
    clearTimeout(waiting);
    waiting = setTimeout(() => { if (!result.hidden) evaluate(); }, 120);
  }).observe(outcome);
  new IntersectionObserver(([seen]) => jump.classList.toggle("there", seen.isIntersecting)).observe(outcome);
  addEventListener("hashchange", () => { if (readLink()) evaluate(); });
  for (const one of $$("[disabled]", desk)) one.disabled = false;  // without this script they would do nothing
  readLink();
  evaluate();
})();
