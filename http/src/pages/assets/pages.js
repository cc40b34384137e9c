// What a page needs a script for: passkeys, showing a password, and keeping mailed tokens out of the
// browser's history. Everything else works without.

const address = new URL(location.href);
if (address.searchParams.has("token") || address.searchParams.has("code")) {
  address.searchParams.delete("token");
  address.searchParams.delete("browser");
  address.searchParams.delete("registered");
  address.searchParams.delete("code");
  history.replaceState(history.state, "", address);
}

for (const button of document.querySelectorAll("[data-reveal]")) {
  const input = document.getElementById(button.dataset.reveal);
  button.hidden = false;
  button.addEventListener("click", () => {
    const shown = input.type === "password";
    input.type = shown ? "text" : "password";
    button.setAttribute("aria-pressed", String(shown));
  });
  input.form.addEventListener("submit", () => { input.type = "password"; });
}

const toBytes = (text) => {
  const plain = text.replaceAll("-", "+").replaceAll("_", "/").replace(/=+$/, "");
  return Uint8Array.from(atob(plain), (character) => character.charCodeAt(0));
};

const toText = (buffer) => {
  let bytes = "";
  for (const byte of new Uint8Array(buffer)) bytes += String.fromCharCode(byte);
  return btoa(bytes).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
};

const decoded = (options) => {
  const each = (list) => list?.map((known) => ({ ...known, id: toBytes(known.id) }));
  const found = { ...options, challenge: toBytes(options.challenge) };
  if (found.user) found.user = { ...found.user, id: toBytes(found.user.id) };
  if (found.allowCredentials) found.allowCredentials = each(found.allowCredentials);
  if (found.excludeCredentials) found.excludeCredentials = each(found.excludeCredentials);
  return found;
};

const encoded = (credential) => {
  const response = {};
  const parts = ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"];
  for (const part of parts) {
    if (credential.response[part]) response[part] = toText(credential.response[part]);
  }
  const transports = credential.response.getTransports?.();
  if (transports) response.transports = transports;
  const { id, type, authenticatorAttachment } = credential;
  const clientExtensionResults = credential.getClientExtensionResults();
  return JSON.stringify({ id, rawId: id, type, authenticatorAttachment, response, clientExtensionResults });
};

// The options of a ceremony, from the endpoint that the form names.
const begin = async (form) => {
  const { begin: path, tenant } = form.dataset;
  const own = path.startsWith("/ui/");
  const headers = own ? {} : { "Content-Type": "application/json" };
  if (tenant) headers["X-Tenant-ID"] = tenant;
  const fields = new FormData(form);
  fields.delete("credential");
  const body = own ? new URLSearchParams(fields) : "{}";
  const answer = await fetch(path, { method: "POST", headers, body });
  // Whoever signed in too long ago for this does so again.
  if (own && answer.status === 403 && form.dataset.again) location.assign(form.dataset.again);
  if (!answer.ok) throw new Error(String(answer.status));
  const options = (await answer.json()).data;
  return decoded(options.publicKey ?? options);
};

const say = (form, text) => {
  const line = form.querySelector("[role=status]");
  line.textContent = text;
  line.hidden = !text;
};

let waiting = new AbortController();

// What goes on once a ceremony that somebody has asked for came to nothing.
let goOn = () => {};

const renewed = () => {
  waiting.abort();
  waiting = new AbortController();
  return waiting.signal;
};

const finish = (form, credential) => {
  form.elements.credential.value = encoded(credential);
  form.submit();
};

const run = async (form) => {
  const signal = renewed();
  say(form, "");
  try {
    const request = { publicKey: await begin(form), signal };
    const creates = form.dataset.passkey === "create";
    const { credentials } = navigator;
    finish(form, creates ? await credentials.create(request) : await credentials.get(request));
  } catch (error) {
    const cancelled = error.name === "NotAllowedError" || error.name === "AbortError";
    say(form, cancelled ? form.dataset.cancelled : form.dataset.failed);
    goOn();
  }
};

// A challenge is good for five minutes.
const RENEWED_AFTER = 4 * 60 * 1000;

// Offers passkeys among what the browser fills in (WebAuthn Level 3 §5.1.4, conditional mediation):
// from when somebody comes to the field, since every offer costs a challenge.
const offer = async (form) => {
  if (!await PublicKeyCredential.isConditionalMediationAvailable?.()) return;
  const field = document.querySelector("[autocomplete~=webauthn]");
  const ask = async () => {
    const signal = renewed();
    const renewal = setTimeout(ask, RENEWED_AFTER);
    signal.addEventListener("abort", () => clearTimeout(renewal));
    try {
      const publicKey = await begin(form);
      finish(form, await navigator.credentials.get({ publicKey, signal, mediation: "conditional" }));
    } catch {
      // Nobody was asked, so nobody needs to hear of it.
      clearTimeout(renewal);
      if (!signal.aborted) wait();
    }
  };
  const wait = () => field.addEventListener("focus", ask, { once: true });
  goOn = wait;
  if (document.activeElement === field) ask(); else wait();
};

if (window.PublicKeyCredential) {
  for (const form of document.querySelectorAll("[data-passkey]")) {
    form.hidden = false;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      run(form);
    });
    if (form.dataset.passkey === "offer") offer(form);
  }
  for (const note of document.querySelectorAll("[data-without-passkeys]")) note.hidden = true;
}
