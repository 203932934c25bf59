// Starts GraphiQL against this server: queries by POST, subscriptions by graphql-transport-ws on the same URL.
"use strict";

const EXAMPLE = `# Welcome. Press the button to run an operation; Ctrl-Space completes names.
# Requests that need an account want a token in "Headers", below:
#   { "Authorization": "Bearer <your token>" }

query Tasks {
  viewer {
    email
  }
  tasks(first: 10) {
    nodes {
      id
      name
      status
      metrics {
        totalEmailAddresses
        progressPercent
        jobStatus { pending processing completed failed }
        verificationStatus { exists notExists catchall invalidSyntax unknown }
      }
    }
  }
}

mutation Verify {
  createTask(input: { emails: ["alice@ok.mailverdict.test", "nobody@ok.mailverdict.test", "not an address"] }) {
    task { id status }
    userErrors { code message field }
  }
}

# Put a task's id in "Variables": { "id": "task_…" }
subscription Progress($id: ID!) {
  taskProgress(taskId: $id) {
    occurredAt
    task { status metrics { progressPercent } }
  }
}
`;

const url = new URL("/graphql", window.location.href);
const socketUrl = new URL(url);
socketUrl.protocol = url.protocol === "https:" ? "wss:" : "ws:";

// The headers editor's content goes with every request; for a WebSocket it becomes the connection_init payload.
const send = GraphiQL.createFetcher({ url: url.href, subscriptionUrl: socketUrl.href });

// The editor opens with a token still to be filled in: until then nobody is meant, rather than somebody unknown.
function filledIn(headers = {}) {
  return Object.fromEntries(Object.entries(headers).filter(([, value]) => !/^(bearer)?\s*$/i.test(value)));
}

const fetcher = (parameters, options) => send(parameters, { ...options, headers: filledIn(options?.headers) });

// GraphiQL writes headers into its history whatever shouldPersistHeaders says: tokens stay out of the browser's storage.
const storage = {
  getItem: (key) => localStorage.getItem(key),
  removeItem: (key) => localStorage.removeItem(key),
  clear: () => localStorage.clear(),
  get length() {
    return localStorage.length;
  },
  setItem(key, value) {
    const withoutHeaders = (name, part) => (name === "headers" ? undefined : part);
    const isHistory = key.endsWith(":queries") || key.endsWith(":favorites");
    localStorage.setItem(key, isHistory ? JSON.stringify(JSON.parse(value), withoutHeaders) : value);
  },
};

ReactDOM.createRoot(document.getElementById("graphiql")).render(
  React.createElement(GraphiQL, {
    fetcher,
    storage,
    defaultQuery: EXAMPLE,
    defaultHeaders: '{\n  "Authorization": "Bearer "\n}',
    defaultEditorToolsVisibility: "headers",
    isHeadersEditorEnabled: true,
    shouldPersistHeaders: false,
  }),
);
