"use strict";

(function () {
  const root = document.documentElement;

  // Light or dark: what was chosen, else what the system says. Set before anything is painted.
  function remembered() {
    try {
      return localStorage.getItem("qapi-theme");
    } catch (error) {
      return null;
    }
  }

  function remember(theme) {
    try {
      localStorage.setItem("qapi-theme", theme);
    } catch (error) {
      // A page from a file may not be allowed to: the choice holds for this page.
    }
  }

  const stored = remembered();
  if (stored === "light" || stored === "dark") {
    root.dataset.theme = stored;
  }

  function isDark() {
    if (root.dataset.theme) {
      return root.dataset.theme === "dark";
    }
    return matchMedia("(prefers-color-scheme: dark)").matches;
  }

  function startTheme() {
    const button = document.createElement("button");
    button.id = "Ui-theme";
    button.type = "button";
    function label() {
      button.textContent = isDark() ? "Light" : "Dark";
      button.setAttribute("aria-label", isDark() ? "Use light colours" : "Use dark colours");
    }
    button.addEventListener("click", function () {
      root.dataset.theme = isDark() ? "light" : "dark";
      remember(root.dataset.theme);
      label();
    });
    label();
    document.querySelector(".bar").append(button);
  }

  // Copying: the requests of an example, since those are what a client sends; all of other code.
  function requests(code) {
    return Array.from(code.querySelectorAll(".client"), function (message) {
      return message.textContent.replace(/^\s*->\s*/, "").trim();
    }).filter(function (text) {
      return text.startsWith("{");
    });
  }

  function startCopying() {
    if (!navigator.clipboard) {
      return;
    }
    for (const block of document.querySelectorAll(".code")) {
      const code = block.querySelector("code");
      const sent = requests(code);
      const label = sent.length > 0 ? "Copy request" + (sent.length > 1 ? "s" : "") : "Copy";
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = label;
      button.addEventListener("click", function () {
        const text = sent.length > 0 ? sent.join("\n") : code.textContent;
        navigator.clipboard.writeText(text).then(
          function () {
            button.textContent = "Copied";
          },
          function () {
            button.textContent = "Not allowed";
          }
        );
        setTimeout(function () {
          button.textContent = label;
        }, 1500);
      });
      block.append(button);
    }
  }

  // The entry of the contents that is on the screen.
  function startOutline() {
    const outline = document.querySelector(".outline");
    if (!outline || !("IntersectionObserver" in window)) {
      return;
    }
    const links = new Map();
    for (const link of outline.querySelectorAll("a")) {
      links.set(decodeURIComponent(link.hash.slice(1)), link);
    }
    const visible = new Set();
    let current = null;
    const observer = new IntersectionObserver(
      function (entries) {
        for (const entry of entries) {
          if (entry.isIntersecting) {
            visible.add(entry.target);
          } else {
            visible.delete(entry.target);
          }
        }
        let first = null;
        for (const element of visible) {
          if (!first || element.offsetTop < first.offsetTop) {
            first = element;
          }
        }
        const link = first && links.get(first.id);
        if (!link || link === current) {
          return;
        }
        if (current) {
          current.removeAttribute("aria-current");
        }
        current = link;
        current.setAttribute("aria-current", "location");
        const box = outline.closest(".contents");
        if (getComputedStyle(box).position === "fixed") {
          return;
        }
        const top = link.getBoundingClientRect().top - box.getBoundingClientRect().top;
        if (top < 40 || top > box.clientHeight - 60) {
          box.scrollTop += top - box.clientHeight / 3;
        }
      },
      { rootMargin: "-130px 0px -50% 0px" }
    );
    for (const element of document.querySelectorAll("article.entity")) {
      observer.observe(element);
    }
  }

  // The search. Its data is a script, fetched when somebody is about to search.
  let data = null;
  let isLoading = false;
  let whenLoaded = null;

  function load(then) {
    if (data) {
      then();
      return;
    }
    whenLoaded = then;
    if (isLoading) {
      return;
    }
    isLoading = true;
    const script = document.createElement("script");
    script.src = "search.js";
    script.onload = function () {
      data = window.qapiSearch.map(function (entry) {
        const [kind, name, page, summary, parts, anchors, text] = entry;
        return {
          kind: kind,
          name: name,
          page: page,
          summary: summary,
          parts: parts === "" ? [] : parts.split(" "),
          anchors: anchors.split(" "),
          lowerName: name.toLowerCase(),
          lowerParts: parts.toLowerCase(),
          lowerText: text.toLowerCase(),
        };
      });
      whenLoaded();
    };
    document.head.append(script);
  }

  // How well a word fits an entry: the smaller the better, Infinity for not at all.
  function rank(entry, word) {
    const name = entry.lowerName;
    if (name === word) {
      return 0;
    }
    if (name.startsWith(word)) {
      return 2 + name.length / 100;
    }
    const at = name.indexOf(word);
    if (at > 0) {
      const starts = /[-_.]/.test(name[at - 1]);
      return (starts ? 4 : 6) + name.length / 100;
    }
    const parts = " " + entry.lowerParts + " ";
    if (parts.includes(" " + word + " ")) {
      return 8;
    }
    if (parts.includes(" " + word)) {
      return 10;
    }
    if (entry.lowerText.includes(word)) {
      return 14;
    }
    return parts.includes(word) ? 16 : Infinity;
  }

  function find(query) {
    const words = query.toLowerCase().replace(/["'@`]/g, " ").split(/\s+/).filter(Boolean);
    if (words.length === 0) {
      return [];
    }
    const kinds = { command: 0, event: 0.3 };
    const found = [];
    for (const entry of data) {
      let total = 0;
      for (const word of words) {
        total += rank(entry, word);
      }
      if (total < Infinity) {
        found.push([total + (kinds[entry.kind] ?? 0.6), entry]);
      }
    }
    found.sort(function (left, right) {
      return left[0] - right[0] || (left[1].name < right[1].name ? -1 : 1);
    });
    return found.slice(0, 40).map(function (pair) {
      return hit(pair[1], words);
    });
  }

  function hit(entry, words) {
    const part = entry.parts.find(function (part) {
      return words.some(function (word) {
        return !entry.lowerName.includes(word) && part.toLowerCase().includes(word);
      });
    });
    const anchor = part === undefined ? entry.name : entry.anchors[entry.parts.indexOf(part)];
    return {
      kind: entry.kind,
      name: part === undefined ? entry.name : entry.name + " \u203a " + part,
      address: entry.page + ".html#" + encodeURIComponent(anchor),
      summary: entry.summary,
    };
  }

  // A page that cannot search shows no field for it.
  function searchElements() {
    const form = document.createElement("form");
    form.className = "search";
    form.setAttribute("role", "search");
    const input = document.createElement("input");
    const list = document.createElement("ul");
    const attributes = {
      id: "Ui-search",
      type: "search",
      placeholder: "Search (press /)",
      autocomplete: "off",
      spellcheck: "false",
      role: "combobox",
      "aria-label": "Search the manual",
      "aria-expanded": "false",
      "aria-controls": "Ui-results",
      "aria-autocomplete": "list",
    };
    for (const [name, value] of Object.entries(attributes)) {
      input.setAttribute(name, value);
    }
    list.id = "Ui-results";
    list.setAttribute("role", "listbox");
    list.setAttribute("aria-label", "Search results");
    list.hidden = true;
    form.append(input, list);
    document.querySelector(".bar").append(form);
    return [form, input, list];
  }

  function startSearch() {
    const [form, input, list] = searchElements();
    let hits = [];
    let selected = -1;

    function close() {
      list.hidden = true;
      selected = -1;
      input.setAttribute("aria-expanded", "false");
      input.removeAttribute("aria-activedescendant");
    }

    function select(index) {
      const items = list.querySelectorAll("[role=option]");
      if (items.length === 0) {
        return;
      }
      selected = (index + items.length) % items.length;
      items.forEach(function (item, n) {
        item.setAttribute("aria-selected", String(n === selected));
      });
      items[selected].scrollIntoView({ block: "nearest" });
      input.setAttribute("aria-activedescendant", items[selected].id);
    }

    function go(index) {
      const target = hits[index];
      if (target) {
        close();
        input.blur();
        location.href = target.address;
      }
    }

    // What is shown is set as text, never as markup.
    function show() {
      hits = find(input.value);
      list.replaceChildren();
      if (input.value.trim() === "") {
        close();
        return;
      }
      if (hits.length === 0) {
        const item = document.createElement("li");
        item.className = "nothing";
        item.textContent = "Nothing found";
        list.append(item);
      }
      hits.forEach(function (found, n) {
        const item = document.createElement("li");
        item.id = "Ui-result-" + n;
        item.setAttribute("role", "option");
        item.className = found.kind;
        const name = document.createElement("span");
        name.className = "hit";
        name.textContent = found.name;
        const kind = document.createElement("span");
        kind.className = "kind";
        kind.textContent = " " + found.kind;
        const why = document.createElement("span");
        why.className = "why";
        why.textContent = found.summary;
        item.append(name, kind, why);
        item.addEventListener("mousedown", function (event) {
          event.preventDefault();
          go(n);
        });
        list.append(item);
      });
      list.hidden = false;
      input.setAttribute("aria-expanded", "true");
      select(0);
    }

    input.addEventListener("focus", function () {
      load(show);
    });
    input.addEventListener("input", function () {
      load(show);
    });
    input.addEventListener("blur", close);
    form.addEventListener("submit", function (event) {
      event.preventDefault();
      go(selected);
    });
    input.addEventListener("keydown", function (event) {
      if (event.key === "ArrowDown") {
        select(selected + 1);
      } else if (event.key === "ArrowUp") {
        select(selected - 1);
      } else if (event.key === "Escape") {
        close();
        input.blur();
      } else {
        return;
      }
      event.preventDefault();
    });
    document.addEventListener("keydown", function (event) {
      const inField = /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement.tagName);
      if (event.key === "/" && !inField && !event.ctrlKey && !event.metaKey && !event.altKey) {
        event.preventDefault();
        input.focus();
        input.select();
      }
    });
  }

  document.addEventListener("DOMContentLoaded", function () {
    startSearch();
    startTheme();
    startCopying();
    startOutline();
  });
})();
