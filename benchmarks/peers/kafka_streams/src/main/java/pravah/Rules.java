package pravah;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** The metric dictionary: which amounts an event's data gives. */
final class Rules {
    /** An event of the kind whose field {@code where} has this value gives {@code field}'s amount to the metric; without {@code field} it gives 1, without {@code where} all do. */
    record Rule(int metric, int where, String value, int field, boolean endable) {}

    final List<String> metrics = new ArrayList<>();
    /** Fields of an event's data that rules read; texts and numbers have numbers of their own. */
    final List<String> texts = new ArrayList<>();
    final List<String> numbers = new ArrayList<>();
    private final Map<String, List<Rule>> byKind = new HashMap<>();

    /** @param file a line for each metric: metric, kind, where, value, field, 1 if such events may end ({@code active}); with tabs between them */
    Rules(Path file) throws IOException {
        for (String line : Files.readAllLines(file)) {
            String[] part = line.split("\t", -1);
            Rule rule = new Rule(metrics.size(), number(texts, part[2]), part[3], number(numbers, part[4]), part[5].equals("1"));
            metrics.add(part[0]);
            byKind.computeIfAbsent(part[1], kind -> new ArrayList<>()).add(rule);
        }
        if (metrics.size() > Long.SIZE) {
            throw new IllegalArgumentException("more than 64 metrics");
        }
    }

    List<Rule> of(String kind) {
        return byKind.getOrDefault(kind, List.of());
    }

    private static int number(List<String> names, String name) {
        if (name.isEmpty()) {
            return -1;
        }
        if (!names.contains(name)) {
            names.add(name);
        }
        return names.indexOf(name);
    }
}
