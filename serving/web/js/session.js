// The token: from the address, from this tab, or from the person.
import { text } from "./texts.js";

const KEPT = "fleetlake.token";

/** What a token says, or null. The services check it; the page only reads which regions it names. */
export function claims(token) {
  try {
    const body = JSON.parse(atob(token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/")));
    return body.exp * 1000 > Date.now() ? body : null;
  } catch {
    return null;
  }
}

/** A link's words: #token=...&device=eu/eu-car-0001&t=1796000000000 */
export function linked() {
  return new URLSearchParams(location.hash.slice(1));
}

export async function token(why = "") {
  const words = linked();
  const given = words.get("token");
  if (given) {
    // Not to be seen over a shoulder, nor to be copied with the address.
    words.delete("token");
    history.replaceState(null, "", `${location.pathname}${words.size ? `#${words}` : ""}`);
    if (claims(given)) sessionStorage.setItem(KEPT, given);
  }
  const kept = sessionStorage.getItem(KEPT);
  return kept && claims(kept) ? kept : asked(why);
}

export function leave() {
  sessionStorage.removeItem(KEPT);
  location.reload();
}

function asked(why) {
  const dialog = document.getElementById("sign-in");
  const at = (selector) => dialog.querySelector(selector);
  at("h2").textContent = text("signInTitle");
  at("p").textContent = text("signInText");
  at("label span").textContent = text("signInLabel");
  at("button").textContent = text("signInButton");
  at("code").textContent = text("signInHint");
  at(".error").textContent = why;
  dialog.showModal();
  return new Promise((resolve) => {
    at("form").onsubmit = (event) => {
      event.preventDefault();
      const typed = at("textarea").value.trim();
      if (!claims(typed)) {
        at(".error").textContent = text("badToken");
        return;
      }
      sessionStorage.setItem(KEPT, typed);
      dialog.close();
      resolve(typed);
    };
    dialog.oncancel = (event) => event.preventDefault();
  });
}
