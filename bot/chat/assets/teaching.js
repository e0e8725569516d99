// The owner's page: what was taught as a table, retrainings that grow, adapters. What people wrote is only ever text here.
(() => {
  const LOOK_MS = 1000; // between two looks at retrainings
  const STATES = { new: "new", kept: "✓ kept", dropped: "✗ dropped" };
  const by = (id) => document.getElementById(id);

  // An answer of the bot; what it refuses is said at the top.
  const ask = (path, body) => fetched(`/teaching/${path}`, body
    && { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  // Where the bot keeps a file until it takes it.
  const upload = async (files) => (await fetched("/gradio_api/upload", { method: "POST", body: files }))?.[0];

  async function fetched(address, how) {
    let said = { problem: "The bot cannot be reached.", away: true };
    try {
      const answer = await fetch(address, how);
      if (answer.ok || answer.status === 409) said = await answer.json();
      else said = { problem: [413, 507].includes(answer.status) ? `${await answer.text()}.` : "That did not work. Please reload this page." };
    } catch { /* away: said above */ }
    const line = by("jn-problem");
    if (said.problem || how || line.away) { // what was refused stays until something else is wanted
      line.textContent = said.problem ?? "";
      line.hidden = !said.problem;
      line.away = said.away;
    }
    return said.problem ? null : said;
  }

  function make(tag, properties = {}, ...children) {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  }
  const button = (label, press) => make("button", { type: "button", textContent: label, onclick: press });

  // --- Retrainings ---

  function drawRetrainings(found) {
    const markup = found?.retrainings.join("");
    if (markup === undefined || by("jn-retrainings").drawn === markup) return; // a button may just be pressed
    by("jn-retrainings").drawn = markup;
    by("jn-retrainings").innerHTML = markup;
  }
  async function wish(body) {
    drawRetrainings(await ask("retrainings", body));
    await drawAdapters();
  }
  by("jn-retrain").addEventListener("submit", (event) => {
    event.preventDefault();
    wish({ note: event.target.elements.note.value });
    event.target.reset();
  });
  by("jn-retrainings").addEventListener("click", async (event) => {
    const pressed = event.target.closest("button");
    if (!pressed) return;
    pressed.disabled = true; // checking an adapter takes seconds
    await wish({ action: pressed.dataset.action });
    pressed.disabled = false;
  });
  async function look() {
    if (!document.hidden) {
      drawRetrainings(await ask("retrainings"));
      if (comparing) drawComparison(await ask("comparison"));
      if (importing) drawImport(await ask("import"));
    }
    setTimeout(look, LOOK_MS);
  }

  // --- Adapters ---

  async function drawAdapters(there) {
    there ??= await ask("adapters");
    if (!there) return;
    by("jn-chosen").textContent = there.said ?? "";
    by("jn-back").hidden = !there.default;
    drawPair(there);
    by("jn-adapters").replaceChildren(...there.names.map((name) => {
      if (name === there.default) return make("li", {}, make("strong", { textContent: name }), " answers now");
      return make("li", {}, `${name} `, button("Use", () => choose({ name })));
    }));
    if (!there.names.length) by("jn-adapters").append(make("li", { textContent: "The model server knows no adapters." }));
  }
  async function choose(body) {
    const there = await ask("adapters", body);
    if (there) drawAdapters(there);
  }
  by("jn-back").onclick = () => choose({});

  // --- Two adapters side by side ---

  const pair = by("jn-compare");
  let comparing = true; // perhaps: it goes on while this page is reloaded
  function drawPair({ names, default: answering }) {
    pair.hidden = names.length < 2;
    if (pair.drawn === names.join()) return; // what was chosen stays
    pair.drawn = names.join();
    const { first, second } = pair.elements;
    for (const choice of [first, second]) choice.replaceChildren(...names.map((name) => make("option", { textContent: name })));
    first.value = answering;
    second.value = names.findLast((name) => name !== answering); // the newest
  }
  function drawComparison(found) {
    if (!found) return;
    comparing = found.under_way;
    pair.querySelector("button").disabled = comparing;
    const box = by("jn-comparison");
    const drawn = JSON.stringify(found);
    if (box.drawn === drawn) return; // it would be read out again
    box.drawn = drawn;
    box.innerHTML = found.said;
    box.append(...found.questions.map((one) => make("div", { className: "jn-card jn-asked" },
      make("blockquote", { textContent: one.question }),
      make("div", { className: "jn-thumbnails" }, ...one.pictures.map(picture)),
      ...one.said.map(([who, words]) => make("p", {}, make("strong", { textContent: `${who}: ` }), words.trim() || "–")))));
  }
  pair.addEventListener("submit", async (event) => {
    event.preventDefault();
    drawComparison(await ask("comparison", Object.fromEntries(new FormData(pair))));
  });

  // --- Examples from a file ---

  const source = by("jn-import");
  let importing = true; // perhaps, as above
  async function drawImport(found) {
    if (!found) return;
    const done = importing && !found.under_way && found.said;
    importing = found.under_way;
    source.querySelector("button").disabled = importing;
    if (by("jn-imported").drawn === found.said) return;
    by("jn-imported").drawn = found.said;
    by("jn-imported").innerHTML = found.said;
    if (done) await drawExamples();
  }
  source.addEventListener("submit", async (event) => {
    event.preventDefault();
    const files = new FormData();
    files.append("files", source.elements.file.files[0]);
    source.querySelector("button").disabled = true;
    const path = await upload(files);
    source.querySelector("button").disabled = false;
    if (!path) return;
    source.reset();
    importing = true;
    drawImport(await ask("import", { path }));
  });
  by("jn-imported").addEventListener("click", async (event) => {
    const pressed = event.target.closest("button");
    if (!pressed) return;
    drawImport(await ask("import", { action: pressed.dataset.action }));
    drawExamples(); // whether they are learnt from is in the counts
  });

  // --- Examples ---

  function row(example) {
    const answer = make("textarea", { value: example.answer, rows: 3, maxLength: 2000 });
    answer.setAttribute("aria-label", `Answer to example ${example.id}`);
    const save = button("Save", () => review({ answer: answer.value }));
    save.disabled = true;
    answer.oninput = () => { save.disabled = !answer.value.trim() || answer.value === example.answer; };
    const state = make("td", { textContent: STATES[example.state] });
    const line = make("tr", {},
      make("td", {}, example.question, make("div", { className: "jn-thumbnails" }, ...example.pictures.map(picture))),
      make("td", {}, answer),
      make("td", { textContent: example.from }),
      state,
      make("td", { className: "jn-buttons" }, save, button("Keep", () => review({ state: "kept" })),
        button("Drop", () => review({ state: "dropped" }))));
    line.dataset.id = example.id;
    async function review(body) {
      const done = await ask(`examples/${example.id}`, body);
      if (!done) return;
      by("jn-reviewed").textContent = done.said;
      example.answer = body.answer ?? example.answer;
      answer.oninput();
      state.textContent = STATES[body.state ?? "kept"];
      drawCounts(done);
    }
    return line;
  }
  const picture = (address) => make("a", { href: `/${address}`, target: "_blank" },
    make("img", { src: `/${address}`, alt: "Picture of this example", loading: "lazy" }));
  function drawCounts({ counts, shared }) {
    by("jn-counts").innerHTML = counts;
    by("jn-share").checked = shared;
  }
  by("jn-share").onchange = async ({ target }) => {
    const done = await ask("sharing", { shared: target.checked });
    if (!done) return void (target.checked = !target.checked);
    by("jn-shared").textContent = done.said;
    drawCounts(done);
  };
  async function drawExamples(before) {
    const wanted = new URLSearchParams({ ...(by("jn-state").value && { state: by("jn-state").value }), ...(before && { before }) });
    const found = await ask(`examples?${wanted}`);
    if (!found) return;
    const rows = found.examples.map(row);
    if (before) by("jn-examples").append(...rows);
    else by("jn-examples").replaceChildren(...rows);
    drawCounts(found);
    by("jn-more").hidden = !found.more;
    by("jn-none").hidden = by("jn-examples").children.length > 0;
  }
  by("jn-state").onchange = () => drawExamples();
  by("jn-more").onclick = () => drawExamples(by("jn-examples").lastElementChild.dataset.id);

  drawExamples();
  drawAdapters();
  look();
})();
