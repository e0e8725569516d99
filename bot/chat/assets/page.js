// What the page does without asking the bot: which conversation the address bar names, the message box, the status line.
window.jnana = (() => {
  const STATUS_MS = 5000;
  const ANSWER_MS = 1000;
  const PHONE_WIDTH = 768; // CSS pixels, as in style.css
  const DRAFT = "jnana-draft";
  const AWAY = "The bot cannot be reached. Your text was kept: please send it again in a moment.";
  let connected = true;
  const taken = []; // messages on their way, oldest first: restored when they are refused

  // The address names the conversation, so that a reload and a bookmark find it again.
  function show(id) {
    const url = new URL(location.href);
    if (url.searchParams.get("c") !== id) {
      url.searchParams.set("c", id);
      history.replaceState(null, "", url);
    }
    document.querySelectorAll("#jn-list a[data-id]").forEach((link) => {
      link.toggleAttribute("aria-current", link.dataset.id === id);
    });
    closeListOnPhone();
    field()?.focus();
  }

  // Empty the box at once; only names of uploads travel with the message, the files are on the bot's side already.
  function take(message) {
    const text = message.text ?? "";
    const files = message.files ?? [];
    taken.push({ text, files });
    setTimeout(updateStatus, ANSWER_MS); // notices when nobody took it, or nothing was heard of it
    // The card goes now: once the server has answered, one of the new answer may be there already.
    return [{ text, files: files.map((file) => file.path) }, { text: "", files: [] }, ""];
  }

  // Nothing a person wrote is lost when it was refused, even if they went on writing.
  function settle(problem, box) {
    const refused = taken.shift();
    if (!refused || !problem.includes('role="alert"')) return box;
    return { text: joined(refused.text, box.text), files: [...refused.files, ...(box.files ?? [])] };
  }

  // Nor when the bot is away: gradio then stands still, and reloads the page when the bot is back.
  function keepUnsent() {
    write(joined(...taken.map((message) => message.text), field().value));
    hint(taken.some((message) => message.files.length) ? AWAY + " Add your files again, too." : AWAY);
    taken.length = 0;
  }
  window.addEventListener("pagehide", () => sessionStorage.setItem(DRAFT, field()?.value ?? ""));

  const field = () => document.querySelector("#jn-box textarea");
  const joined = (...texts) => texts.filter(Boolean).join("\n");
  function write(text) {
    field().value = text;
    field().dispatchEvent(new Event("input", { bubbles: true }));
  }

  async function updateStatus() {
    const line = document.getElementById("jn-status");
    if (!line || document.hidden) return;
    let status = null;
    try {
      const answer = await fetch("status");
      if (answer.ok) status = await answer.json();
    } catch { /* the bot is away: say so, try again */ }
    if (status && !connected) {
      hint("");
      sync();
    }
    connected = Boolean(status);
    if (taken.length) {
      if (connected) sync();
      else keepUnsent();
    }
    status ??= { text: "Not connected", ready: false };
    line.dataset.ready = String(status.ready);
    line.querySelector(".jn-status-text").textContent = status.text;
  }

  // Draws the conversation anew. Gradio closes its stream when nothing runs, and what begins in that very moment is only
  // heard of when the next thing begins: this is it.
  function sync() {
    document.querySelector("#jn-sync")?.click();
  }

  // What gradio draws, said in words; runs whenever it has drawn something.
  let started = false;
  function tidy() {
    const names = {
      "#jn-box textarea": "Message",
      "#jn-box .upload-button": "Add pictures or sound",
      "#jn-box .microphone-button": "Record a voice note",
      "#jn-box .submit-button": "Send",
      "#jn-box .stop-button:not(.minimal-audio-recorder *)": "Stop answering",
      "#jn-box .confirm-button": "Use this recording",
      "#jn-box .cancel-button": "Discard this recording",
      "#jn-sidebar .toggle-button": "Show or hide conversations",
      "#jn-chat [aria-label='Retry']": "Answer again",
    };
    for (const [selector, name] of Object.entries(names)) {
      document.querySelectorAll(selector).forEach((element) => {
        if (element.getAttribute("aria-label") === name) return;
        element.setAttribute("aria-label", name);
        element.title = name;
      });
    }
    // Gradio puts the whole message, markup included, into a label.
    document.querySelectorAll("#jn-chat [data-testid='user'][aria-label], #jn-chat [data-testid='bot'][aria-label]").forEach((message) => {
      message.removeAttribute("aria-label");
    });
    // One click records: gradio would first show a list of microphones and a second button.
    const recorder = document.querySelector("#jn-box .record-button:not([data-clicked])");
    if (recorder) {
      recorder.dataset.clicked = "";
      recorder.click();
    }
    if (!started && field() && document.getElementById("jn-status") && document.getElementById("jn-sidebar")) {
      started = true;
      write(sessionStorage.getItem(DRAFT) ?? "");
      updateStatus();
      closeListOnPhone();
    }
  }

  // On a phone the list lies over the conversation: it is opened when wanted.
  function closeListOnPhone() {
    const list = document.querySelector("#jn-sidebar.open");
    if (list && innerWidth <= PHONE_WIDTH) list.querySelector(".toggle-button").click();
  }

  // Why a voice note could not be recorded; gradio only gives up.
  function hint(sentence) {
    const line = document.getElementById("jn-hint");
    if (line) line.textContent = sentence;
  }
  const devices = navigator.mediaDevices; // missing where the page came over plain HTTP from another machine
  if (devices) {
    const listen = devices.getUserMedia.bind(devices);
    devices.getUserMedia = async (wanted) => {
      try {
        const stream = await listen(wanted);
        hint("");
        return stream;
      } catch (error) {
        hint("The browser does not let this page use a microphone. Allow it beside the address, or upload a recording.");
        throw error;
      }
    };
  }

  document.addEventListener("click", (event) => {
    if (event.target.closest?.("#jn-new, #jn-list a, .jn-examples button, #jn-chat button, #jn-taught button")) {
      setTimeout(sync, ANSWER_MS);
    }
  });

  // After a recording was taken or discarded, Enter sends again.
  document.addEventListener("click", (event) => {
    if (!devices && event.target.closest?.("#jn-box .microphone-button")) {
      hint("Browsers lend their microphone only to pages over HTTPS or on this machine. You can upload a recording.");
    }
    if (event.target.closest?.("#jn-box :is(.confirm-button, .cancel-button)")) {
      setTimeout(() => field()?.focus());
    }
  });

  // Another tab may have asked something meanwhile.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return;
    sync();
    updateStatus();
  });
  function begin() {
    new MutationObserver(tidy).observe(document.body, { childList: true, subtree: true });
    setInterval(updateStatus, STATUS_MS);
  }
  if (document.body) begin();
  else document.addEventListener("DOMContentLoaded", begin);
  return { show, take, settle };
})();
