// The token: from the address, from this tab, or from the person.
import { element, text } from "./words.js";

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

export async function token() {
  const words = linked();
  const given = words.get("token");
  if (given) {
    // Not to be seen over a shoulder, nor to be copied with the address.
    words.delete("token");
    history.replaceState(null, "", `${location.pathname}${words.size ? `#${words}` : ""}`);
    if (claims(given)) sessionStorage.setItem(KEPT, given);
  }
  const kept = sessionStorage.getItem(KEPT);
  return kept && claims(kept) ? kept : asked();
}

export function leave() {
  sessionStorage.removeItem(KEPT);
  location.reload();
}

/** Another token in place of one that is refused: the person is told why. */
export async function renew(why) {
  if (document.getElementById("sign-in")) return;
  sessionStorage.removeItem(KEPT);
  await asked(why);
  location.reload();
}

function asked(why = "") {
  const title = element("h2", { textContent: text("signInTitle") });
  const typed = element("textarea", { rows: 4, spellcheck: false, required: true });
  const error = element("p", { className: "error", role: "alert", textContent: why });
  const form = element("form", { method: "dialog" },
    element("img", { src: "icons/mark.svg", alt: "", width: 44, height: 44 }), title, element("p", { textContent: text("signInText") }),
    element("label", {}, element("span", { textContent: text("signInLabel") }), typed), error,
    element("button", { className: "primary", type: "submit", textContent: text("signInButton") }),
    element("code", { className: "quiet", textContent: text("signInHint") }));
  const dialog = element("dialog", { id: "sign-in", oncancel: (event) => event.preventDefault() }, form);
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    form.onsubmit = (event) => {
      event.preventDefault();
      const given = typed.value.trim();
      if (!claims(given)) {
        error.textContent = text("badToken");
        return;
      }
      sessionStorage.setItem(KEPT, given);
      dialog.close();
      resolve(given);
    };
  });
}
